-- wrk's script: POST one body, the same each time, and print the summary as JSON at the end.
-- Arguments: the file of the body, and that of the header fields, one "Name: value" a line.

function init(args)
   local body = assert(io.open(args[1], "rb"))
   wrk.method = "POST"
   wrk.body = body:read("*a")
   body:close()
   for line in io.lines(args[2]) do
      local name, value = line:match("^([^:]+): (.*)$")
      wrk.headers[name] = value
   end
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "microseconds": %d, "p99": %d, "failed": %d}\n',
      summary.requests, summary.duration, latency:percentile(99),
      errors.status + errors.connect + errors.read + errors.write + errors.timeout))
end
