-- Requests the paths of a file in turn, and prints the figures as one line of JSON.
-- wrk … -s wrk.lua URL -- FILE

local requests, place = {}, 0

function init(arguments)
  for path in io.lines(arguments[1]) do
    requests[#requests + 1] = wrk.format("GET", path)
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

-- Times come in microseconds.
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests":%d,"seconds":%.6f,"p50":%.6f,"p99":%.6f,"errors":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
