-- The load of `benchmarks/support/load.py`: chat completions of about 1.5 KB, no two alike.
-- Arguments: the header that carries the session id, a tag for this run, the first call's number.

local body = [[{"model":"gpt-4o-mini","temperature":0.2,"max_tokens":512,"user":"user-%d","messages":[
{"role":"system","content":"You are a careful research assistant. Answer in short paragraphs, cite the documents you were given by number, say so when they do not answer the question, and never invent a source. Use the tools when a number has to be looked up."},
{"role":"user","content":"Here is document %d of run %s: The committee met on a Tuesday and went through the quarterly figures. Revenue rose in the second region, fell in the third, and the cost of transport stayed where it was. Two members asked for the figures by month."},
{"role":"assistant","content":"Document %d says that revenue rose in the second region and fell in the third, with transport costs unchanged. It does not give figures by month."},
{"role":"user","content":"Question %d: which region should we look at first, and which figure from the document supports that? Please answer in two sentences."}],
"tools":[{"type":"function","function":{"name":"look_up_figure","description":"Look up one figure of the quarterly report.","parameters":{"type":"object","properties":{"region":{"type":"string"},"month":{"type":"string","description":"YYYY-MM"}},"required":["region"]}}}]}]]
local calls_per_session = 10

function init(args)
  session_header, tag, call = args[1], args[2], tonumber(args[3])
  headers = {
    ["content-type"] = "application/json",
    ["authorization"] = "Bearer sk-benchmark",
    ["user-agent"] = "OpenAI/Python 2.12.0",
  }
end

function request()
  call = call + 1
  headers[session_header] = tag .. "-" .. math.floor(call / calls_per_session)
  return wrk.format("POST", nil, headers, string.format(body, call, call, tag, call, call))
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '\nFIGURES {"responses": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "bad_status": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
