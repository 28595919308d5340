// A decoder of what docs/format.md specifies, written from that page alone, for Node 20 and nothing
// beside its standard library. One JSON object a line on stdin, one answer a line on stdout:
// {"ok": HEX} or {"refused": true}. Anything that is wrong with an input is one answer.
//
// ML-DSA is not in Node 20's OpenSSL; signatures of it are not verified here.

import crypto from "node:crypto";
import readline from "node:readline";

class Refused extends Error {}

const hex = (text) => Buffer.from(text ?? "", "hex");
const label = (text) => Buffer.from(text, "utf8");
const sha = (name, data) => crypto.createHash(name).update(data).digest();
const mac = (name, key, data) => crypto.createHmac(name, key).update(data).digest();

function require(right) {
  if (!right) throw new Refused();
}

function sized(value, bytes) {
  const found = Buffer.alloc(bytes);
  found.writeUIntBE(value, bytes - Math.min(bytes, 6), Math.min(bytes, 6));
  return found;
}

const lp = (value) => Buffer.concat([sized(value.length, 4), value]);

// The body -----------------------------------------------------------------------------------

function expand(hash, key, info, size) {
  // RFC 5869 section 2.3
  const parts = [];
  let block = Buffer.alloc(0);
  for (let number = 1, made = 0; made < size; number += 1, made += block.length) {
    block = mac(hash, key, Buffer.concat([block, info, Buffer.from([number])]));
    parts.push(block);
  }
  return Buffer.concat(parts).subarray(0, size);
}

function gcm(key, nonce, sealed, associated) {
  require(sealed.length >= 16);
  const cipher = crypto.createDecipheriv("aes-256-gcm", key, nonce, { authTagLength: 16 });
  if (associated.length) cipher.setAAD(associated);
  cipher.setAuthTag(sealed.subarray(sealed.length - 16));
  const plain = cipher.update(sealed.subarray(0, sealed.length - 16));
  try {
    return Buffer.concat([plain, cipher.final()]);
  } catch {
    throw new Refused();
  }
}

const SCHEME = label("c2sp.org/chunked-encryption@v1+AEAD_AES_256_GCM\0");
const SEALED_CHUNK = 16384 + 16;

function body(key, context, data) {
  require(key.length === 32 && data.length >= 56);
  const salt = data.subarray(0, 24);
  const derived = expand("sha512", key, Buffer.concat([SCHEME, salt, context]), 76);
  require(crypto.timingSafeEqual(derived.subarray(44), data.subarray(24, 56)));
  const base = derived.subarray(32, 44);
  const plain = [];
  for (let at = 56, number = 0; ; at += SEALED_CHUNK, number += 1) {
    const chunk = data.subarray(at, at + SEALED_CHUNK);
    const nonce = Buffer.from(base);
    let left = number;
    for (let index = 11; left; index -= 1, left = Math.floor(left / 256)) nonce[index] ^= left % 256;
    plain.push(gcm(derived.subarray(0, 32), nonce, chunk, Buffer.alloc(0)));
    if (chunk.length < SEALED_CHUNK) return Buffer.concat(plain);
  }
}

// The message --------------------------------------------------------------------------------

function nameDigest(name) {
  return sha("sha256", Buffer.concat([label("mycelium-fractal-net/name/v1"), name]));
}

function message({ key, handle, message, associated_data, data_key_associated_data, name }) {
  const sealed = hex(message);
  const associated = hex(associated_data);
  require(sealed.length >= 12 && sealed.subarray(0, 3).equals(label("MFN")));
  require(sealed.subarray(4, 12).equals(hex(handle)));
  const under = (text, header, more) => Buffer.concat([label(text), header, more]);
  if (sealed[3] === 1) {
    const header = sealed.subarray(0, 12);
    const context = under("mycelium-fractal-net/sealed/v1", header, associated);
    return body(hex(key), context, sealed.subarray(12));
  }
  if (sealed[3] === 2) {
    require(sealed.length >= 116);
    const first = sealed.subarray(0, 12);
    const ofKey = under("mycelium-fractal-net/datakey/v1", first, hex(data_key_associated_data));
    const dataKey = body(hex(key), ofKey, sealed.subarray(12, 116));
    const context = under("mycelium-fractal-net/envelope/v1", sealed.subarray(0, 116), associated);
    return body(dataKey, context, sealed.subarray(116));
  }
  if (sealed[3] === 4) {
    require(sealed.length >= 44 && name !== undefined && name !== null);
    require(sealed.subarray(12, 44).equals(nameDigest(label(name.normalize("NFC")))));
    const context = under("mycelium-fractal-net/named/v1", sealed.subarray(0, 44), associated);
    return body(hex(key), context, sealed.subarray(44));
  }
  throw new Refused();
}

function raw({ key, message, associated_data }) {
  const sealed = hex(message);
  require(sealed.length >= 28);
  return gcm(hex(key), sealed.subarray(0, 12), sealed.subarray(12), hex(associated_data));
}

// Signatures ---------------------------------------------------------------------------------

function derInteger(data, at, most) {
  // X.690: a positive INTEGER in the fewest bytes
  require(data[at] === 2);
  const size = data[at + 1];
  const value = data.subarray(at + 2, at + 2 + size);
  require(size >= 1 && size < 128 && value.length === size && value[0] < 128);
  require(size === 1 || value[0] !== 0 || value[1] >= 128);
  require(value.length - (value[0] === 0 ? 1 : 0) <= most);
  return at + 2 + size;
}

function strictEcdsa(signature, most) {
  // SEQUENCE of two integers; of P-384 its size may need no more than one byte: 2 * (2 + 49)
  require(signature[0] === 0x30 && signature[1] < 128 && signature.length === 2 + signature[1]);
  require(derInteger(signature, derInteger(signature, 2, most), most) === signature.length);
}

function verified(key, data, signature) {
  const kind = key.asymmetricKeyType;
  if (kind === "ed25519") return signature.length === 64 && crypto.verify(null, data, key, signature);
  require(kind === "ec");
  const curve = key.asymmetricKeyDetails.namedCurve;
  require(curve === "prime256v1" || curve === "secp384r1");
  strictEcdsa(signature, curve === "prime256v1" ? 32 : 48);
  return crypto.verify(curve === "prime256v1" ? "sha256" : "sha384", data, key, signature);
}

const PREHASH = label("mycelium-fractal-net/prehash-sha512/v1\0");

function signature_file({ public_key, file, data }) {
  const content = hex(file);
  const of = hex(data);
  require(content.length >= 14 && content.length <= 13 + 8192);
  require(content.subarray(0, 4).equals(Buffer.from("MFS\x01", "latin1")));
  const mode = content[12];
  require(mode === 0 || mode === 1);
  require(mode === 1 || !of.subarray(0, PREHASH.length).equals(PREHASH));
  const signed = mode === 0 ? of : Buffer.concat([PREHASH, sha("sha512", of)]);
  const key = crypto.createPublicKey({ key: hex(public_key), format: "der", type: "spki" });
  require(verified(key, signed, content.subarray(13)));
  return content.subarray(4, 12);
}

// HPKE ---------------------------------------------------------------------------------------

const SUITES = {
  "002000010002": { hash: "sha256", secret: 32, enc: 32 },
  "001000010002": { hash: "sha256", secret: 32, enc: 65, curve: "prime256v1", field: 32 },
  "001100020002": { hash: "sha384", secret: 48, enc: 97, curve: "secp384r1", field: 48 },
};
const X25519_SPKI = hex("302a300506032b656e032100");
const X25519_PKCS8 = hex("302e020100300506032b656e04220420");
const P_25519 = (1n << 255n) - 19n;

function agreeX25519(secret, enc) {
  require(BigInt(`0x${Buffer.from(enc).reverse().toString("hex")}`) < P_25519);
  const mine = crypto.createPrivateKey({
    key: Buffer.concat([X25519_PKCS8, secret]), format: "der", type: "pkcs8",
  });
  const theirs = crypto.createPublicKey({
    key: Buffer.concat([X25519_SPKI, enc]), format: "der", type: "spki",
  });
  const shared = crypto.diffieHellman({ privateKey: mine, publicKey: theirs });
  require(!shared.equals(Buffer.alloc(32)));
  const own = crypto.createPublicKey(mine).export({ format: "der", type: "spki" });
  return [shared, own.subarray(own.length - 32)];
}

function agreeOnCurve(suite, secret, enc) {
  require(enc[0] === 4);
  const own = crypto.createECDH(suite.curve);
  own.setPrivateKey(secret);
  return [own.computeSecret(enc), own.getPublicKey()];
}

function hpke({ private_key, blob, info, associated_data }) {
  const sealed = hex(blob);
  require(sealed.length >= 10 && sealed.subarray(0, 4).equals(Buffer.from("MFH\x01", "latin1")));
  const named = sealed.subarray(4, 10);
  const suite = SUITES[named.toString("hex")];
  const secret = hex(private_key);
  require(suite !== undefined && sealed.length >= 10 + suite.enc + 16);
  require(secret.length === (suite.field ?? 32));
  const enc = sealed.subarray(10, 10 + suite.enc);
  const [dh, own] = suite.curve ? agreeOnCurve(suite, secret, enc) : agreeX25519(secret, enc);
  const extract = (salt, id, text, ikm) =>
    mac(suite.hash, salt, Buffer.concat([label("HPKE-v1"), id, label(text), ikm]));
  const labeled = (prk, id, text, more, size) =>
    expand(suite.hash, prk, Buffer.concat([sized(size, 2), label("HPKE-v1"), id, label(text), more]), size);
  const kem = Buffer.concat([label("KEM"), named.subarray(0, 2)]);
  const nothing = Buffer.alloc(0);
  const prk = extract(nothing, kem, "eae_prk", dh);
  const shared = labeled(prk, kem, "shared_secret", Buffer.concat([enc, own]), suite.secret);
  const id = Buffer.concat([label("HPKE"), named]);
  const bound = Buffer.concat([
    label("mycelium-fractal-net/hpke/v1"), sealed.subarray(0, 10),
    sized(hex(info).length, 8), hex(info), hex(associated_data),
  ]);
  const schedule = Buffer.concat([
    Buffer.from([0]), extract(nothing, id, "psk_id_hash", nothing),
    extract(nothing, id, "info_hash", bound),
  ]);
  const exporter = extract(shared, id, "secret", nothing);
  const key = labeled(exporter, id, "key", schedule, 32);
  const nonce = labeled(exporter, id, "base_nonce", schedule, 12);
  return gcm(key, nonce, sealed.subarray(10 + suite.enc), nothing);
}

// For recipients -----------------------------------------------------------------------------

// Of all suites, those that are not in Node too: how long the blob of a data key is
const BLOBS = {
  "002000010002": 90, "001000010002": 123, "001100020002": 155, "647a00010002": 1178,
};
const OF_KINDS = { "HPKE-X25519": "002000010002", "HPKE-P256": "001000010002", "HPKE-P384": "001100020002" };
const DATA_KEY_INFO = label("mycelium-fractal-net/addressed-key/v1").toString("hex");

function suiteOf(blob) {
  return blob.subarray(0, 4).equals(Buffer.from("MFH\x01", "latin1")) ? blob.subarray(4, 10).toString("hex") : "";
}

function dataKeyOf(blobs, algorithm, private_key) {
  for (const blob of blobs) {
    if (suiteOf(blob) !== OF_KINDS[algorithm]) continue;
    let opened;
    try {
      opened = hpke({ private_key, blob: blob.toString("hex"), info: DATA_KEY_INFO });
    } catch {
      continue; // it is for somebody else
    }
    if (opened.length === 32) return opened;
  }
  throw new Refused();
}

function addressed({ algorithm, private_key, message, associated_data, name }) {
  const sealed = hex(message);
  let at = 4;
  const take = (size) => {
    require(at + size <= sealed.length);
    at += size;
    return sealed.subarray(at - size, at);
  };
  require(sealed.length >= 5 && sealed.subarray(0, 3).equals(label("MFR")));
  require(sealed[3] === 1 || sealed[3] === 2);
  if (sealed[3] === 2) {
    require(name !== undefined && name !== null);
    require(take(32).equals(nameDigest(label(name.normalize("NFC")))));
  }
  const blobs = Array.from({ length: take(1)[0] }, () => {
    const size = take(2).readUInt16BE(0);
    require(size >= 1 && size <= 4096);
    const blob = take(size);
    require(size === (BLOBS[suiteOf(blob)] ?? size));
    return blob;
  });
  require(blobs.length >= 1);
  const dataKey = dataKeyOf(blobs, algorithm, private_key);
  const context = Buffer.concat([
    label("mycelium-fractal-net/addressed/v1"), sha("sha512", sealed.subarray(0, at)), hex(associated_data),
  ]);
  return body(dataKey, context, sealed.subarray(at));
}

const LINE_LABELS = ["mfn-recipient:", "mfn-identity:"];

function key_line({ line }, labels = LINE_LABELS) {
  const kind = labels.find((each) => line.startsWith(each));
  require(kind !== undefined);
  const end = line.indexOf(":", kind.length) + 1;
  require(["x25519:", "p256:", "p384:", "mlkem768-x25519:"].includes(line.slice(kind.length, end)));
  const value = Buffer.from(line.slice(end), "base64url");
  require(value.toString("base64url") === line.slice(end) && value.length > 4);
  const raw = value.subarray(0, -4);
  require(sha("sha256", Buffer.concat([label(line.slice(0, end)), raw])).subarray(0, 4).equals(value.subarray(-4)));
  return raw;
}

// Of each kind: how many bytes a public and a private key have, and the curve where it has one here
const IDENTITIES = {
  x25519: [32, 32], p256: [65, 32, "prime256v1"], p384: [97, 48, "secp384r1"], "mlkem768-x25519": [1216, 32],
};

function publicOf(curve, secret) {
  if (curve !== undefined) {
    const pair = crypto.createECDH(curve);
    pair.setPrivateKey(secret);
    return pair.getPublicKey();
  }
  const der = Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), secret]); // RFC 8410
  const key = crypto.createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return crypto.createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
}

function identity({ line, passphrase }) {
  const raw = key_line({ line }, ["mfn-identity-sealed:"]);
  const kind = line.split(":")[1];
  const [shown, own, curve] = IDENTITIES[kind];
  require(raw.length === 4 + 32 + shown + own + 72);
  const iterations = raw.readUInt32BE(0);
  require(iterations >= 200000 && iterations <= 10000000);
  const open = raw.subarray(36, 36 + shown);
  const key = crypto.pbkdf2Sync(hex(passphrase), raw.subarray(4, 36), iterations, 32, "sha256");
  const context = Buffer.concat([label("mycelium-fractal-net/identity/v1"), lp(label(kind)), lp(open)]);
  const secret = body(key, context, raw.subarray(36 + shown));
  if (kind !== "mlkem768-x25519") require(publicOf(curve, secret).equals(open)); // Node 20 has no ML-KEM
  return secret;
}

// A key on its way ---------------------------------------------------------------------------

function rsa_aes({ private_key, wrapped }) {
  const key = crypto.createPrivateKey({ key: hex(private_key), format: "der", type: "pkcs8" });
  const size = key.asymmetricKeyDetails.modulusLength / 8;
  const form = hex(wrapped);
  require(form.length >= size + 16 && (form.length - size) % 8 === 0);
  const padding = crypto.constants.RSA_PKCS1_OAEP_PADDING;
  const under = crypto.privateDecrypt({ key, padding, oaepHash: "sha256" }, form.subarray(0, size));
  require(under.length === 32);
  const unwrap = crypto.createDecipheriv("id-aes256-wrap-pad", under, hex("a65959a6"));
  return Buffer.concat([unwrap.update(form.subarray(size)), unwrap.final()]);
}

// Backups ------------------------------------------------------------------------------------

function base64(text) {
  // RFC 4648 section 4, with padding, in its one spelling
  require(typeof text === "string");
  const value = Buffer.from(text, "base64");
  require(value.toString("base64") === text);
  return value;
}

const MEMBERS = ["backup_id", "store_id", "made_at", "generation", "schema", "master_id", "wrapped_key"];

function headerOf(encoded) {
  const text = new TextDecoder("utf-8", { fatal: true }).decode(encoded);
  const header = JSON.parse(text);
  require(header !== null && typeof header === "object" && !Array.isArray(header));
  require(Object.keys(header).join() === MEMBERS.join() && JSON.stringify(header) === text);
  for (const name of ["backup_id", "store_id"]) require(/^[0-9a-f]{32}$/.test(header[name]));
  for (const name of ["made_at", "generation"]) require(Number.isSafeInteger(header[name]));
  require(/^[0-9]{4}$/.test(header.schema) && /^[\x21-\x7e]{1,200}$/.test(header.master_id));
  base64(header.wrapped_key);
  return header;
}

function masterKey(document, masterId, passphrase) {
  require(document.format === "mfn-master-key/1" && Object.hasOwn(document.keys, masterId));
  const entry = document.keys[masterId];
  if (entry.protection === "file") return base64(entry.key);
  require(entry.protection === "passphrase" && entry.kdf === "PBKDF2-SHA256" && passphrase);
  const salt = base64(entry.salt);
  const text = label(passphrase.normalize("NFC"));
  const key = crypto.pbkdf2Sync(text, salt, entry.iterations, 32, "sha256");
  const context = Buffer.concat([
    label("mycelium-fractal-net/master/v1"), hex(document.store_id), lp(label(masterId)),
  ]);
  return body(key, context, base64(entry.sealed));
}

class MessagePack {
  // The types of https://msgpack.org that the columns have, and maps of text
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  take(size) {
    require(this.at + size <= this.data.length);
    this.at += size;
    return this.data.subarray(this.at - size, this.at);
  }

  number(size) {
    return BigInt(`0x${this.take(size).toString("hex")}`);
  }

  text(size) {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(this.take(size));
  }

  array(size) {
    return Array.from({ length: size }, () => this.value());
  }

  map(size) {
    return new Map(Array.from({ length: size }, () => [this.value(), this.value()]));
  }

  value() {
    const kind = this.take(1)[0];
    if (kind < 0x80) return BigInt(kind);
    if (kind < 0x90) return this.map(kind & 15);
    if (kind < 0xa0) return this.array(kind & 15);
    if (kind < 0xc0) return this.text(kind & 31);
    if (kind >= 0xe0) return BigInt(kind) - 256n;
    if (kind === 0xc0) return null;
    if (kind === 0xc2 || kind === 0xc3) return kind === 0xc3;
    if (kind >= 0xc4 && kind <= 0xc6) return this.take(Number(this.number(1 << (kind - 0xc4))));
    if (kind >= 0xcc && kind <= 0xcf) return this.number(1 << (kind - 0xcc));
    if (kind >= 0xd0 && kind <= 0xd3) {
      const size = 1 << (kind - 0xd0);
      return BigInt.asIntN(8 * size, this.number(size));
    }
    if (kind >= 0xd9 && kind <= 0xdb) return this.text(Number(this.number(1 << (kind - 0xd9))));
    if (kind === 0xdc || kind === 0xdd) return this.array(Number(this.number(2 << (kind - 0xdc))));
    if (kind === 0xde || kind === 0xdf) return this.map(Number(this.number(2 << (kind - 0xde))));
    throw new Refused();
  }
}

function rowsOf(plain) {
  const rows = {};
  let table = null;
  let columns = 0;
  for (let at = 0; ; ) {
    require(at + 4 <= plain.length);
    const size = plain.readUInt32BE(at);
    require(size <= 1 << 24 && at + 4 + size <= plain.length);
    const reader = new MessagePack(plain.subarray(at + 4, at + 4 + size));
    const value = reader.value();
    require(reader.at === size);
    at += 4 + size;
    if (Array.isArray(value)) {
      require(table !== null && value.length === columns);
      rows[table] += 1;
    } else if (value instanceof Map && value.has("table")) {
      table = value.get("table");
      require(value.size === 2 && typeof table === "string" && !Object.hasOwn(rows, table));
      require(Array.isArray(value.get("columns")));
      columns = value.get("columns").length;
      rows[table] = 0;
    } else {
      require(value instanceof Map && value.size === 1 && value.get("end") instanceof Map);
      const counted = [...value.get("end")].map(([name, count]) => [name, Number(count)]);
      require(at === plain.length && counted.length === Object.keys(rows).length);
      for (const [name, count] of counted) require(Object.hasOwn(rows, name) && rows[name] === count);
      return rows;
    }
  }
}

function backup({ file, master_key_file, passphrase }) {
  const content = hex(file);
  require(content.length >= 8 && content.subarray(0, 4).equals(Buffer.from("MFB\x01", "latin1")));
  const size = content.readUInt32BE(4);
  require(size <= 65536 && content.length >= 8 + size);
  const header = headerOf(content.subarray(8, 8 + size));
  require(header.store_id === master_key_file.store_id);
  const binding = Buffer.concat(
    [
      label("mycelium-fractal-net/wrap/v1"), hex(header.store_id), label(""), label("backup"),
      label(""), label("AES-256-GCM"), Buffer.alloc(4), hex(header.backup_id),
    ].map(lp),
  );
  const master = masterKey(master_key_file, header.master_id, passphrase);
  const dataKey = body(master, binding, base64(header.wrapped_key));
  const begun = content.subarray(0, 8 + size);
  const context = Buffer.concat([label("mycelium-fractal-net/backup/v1"), begun]);
  const rows = rowsOf(body(dataKey, context, content.subarray(8 + size)));
  return label(JSON.stringify(Object.fromEntries(Object.entries(rows).sort())));
}

// The lines ----------------------------------------------------------------------------------

const READERS = {
  message, raw, signature_file, hpke, rsa_aes, backup, addressed, key_line, identity,
  body: ({ key, context, data }) => body(hex(key), hex(context), hex(data)),
};

function answer(line) {
  const asked = JSON.parse(line);
  try {
    return { ok: READERS[asked.op](asked).toString("hex") };
  } catch {
    return { refused: true }; // whatever is wrong is one answer, what OpenSSL says included
  }
}

for await (const line of readline.createInterface({ input: process.stdin, crlfDelay: Infinity })) {
  process.stdout.write(`${JSON.stringify(answer(line))}\n`);
}
