-- For wrk: posts one JSON-RPC request again and again, each with an id of its own. The file that TOOLCRIB_BENCH_REQUEST names holds the
-- headers, an empty line, and the body, in which @ID@ stands for the id (always ten digits, so that all requests are of one length).

local before, after, number

function init()
  local file = assert(io.open(os.getenv("TOOLCRIB_BENCH_REQUEST"), "rb"))
  local text = file:read("*a")
  file:close()
  local from, to = text:find("@ID@", 1, true)
  before, after = text:sub(1, from - 1), text:sub(to + 1)
  number = tonumber(os.getenv("TOOLCRIB_BENCH_FIRST_ID"))
end

function request()
  number = number + 1
  return before .. number .. after
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n@{"calls":%d,"us":%d,"bytes":%d,"failed":%d,"p50":%d,"p90":%d,"p99":%d}\n',
    summary.requests, summary.duration, summary.bytes,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(90), latency:percentile(99)))
end
