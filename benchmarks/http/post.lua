-- wrk's script: POST one body, the same each time, and print the summary as JSON at the end.
-- Arguments: the file of the body, its content type, the file of the API key, its header.
-- There is no function `request`: so wrk formats the request once and Lua stays out of the way.

local function read(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read("*a")
   file:close()
   return text
end

function init(args)
   wrk.method = "POST"
   wrk.body = read(args[1])
   wrk.headers["Content-Type"] = args[2]
   wrk.headers[args[4]] = read(args[3])
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      '\n{"requests": %d, "microseconds": %d, "bytes": %d, "p50": %d, "p99": %d, "greatest": %d,'
      .. ' "refused": %d, "broken": %d, "late": %d}\n',
      summary.requests, summary.duration, summary.bytes,
      latency:percentile(50), latency:percentile(99), latency.max,
      errors.status, errors.connect + errors.read + errors.write, errors.timeout))
end
