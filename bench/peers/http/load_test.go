package main

import "testing"

const printed = `Running 2s test @ http://127.0.0.1:41811
  2 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   298.44ms  387.24ms   1.70s    83.18%
    Req/Sec   108.75     92.94   370.00     72.50%
  Latency Distribution
     50%  70.18us
     75%  495.13ms
     90%  903.53ms
     99%    1.45s 
  440 requests in 2.06s, 6.93MB read
Requests/sec:    213.52
Transfer/sec:      3.37MB
`

func TestParse(t *testing.T) {
	m, requests, err := parse(printed)
	if want := (sample{rate: 213.52, p50: 0.07018, p99: 1450}); err != nil || m != want || requests != 440 {
		t.Errorf("parsed %+v, %v requests, %v; want %+v, 440", m, requests, err, want)
	}
	for _, bad := range []string{"", printed + "  Non-2xx or 3xx responses: 3\n", printed + "  Socket errors: connect 0, read 1, write 0, timeout 0\n"} {
		if _, _, err := parse(bad); err == nil {
			t.Errorf("no error for\n%s", bad)
		}
	}
}
