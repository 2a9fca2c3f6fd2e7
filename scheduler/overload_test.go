package scheduler

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSim(t *testing.T) {
	for _, kind := range []string{"servers", "slow"} {
		for _, f := range []float64{0.5, 1, 2, 5} {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend(16)
				s := newTest(t, Options{})
				c := newCrowd()
				rate := f * 1600
				go func() {
					<-time.After(20 * time.Second)
					if kind == "servers" {
						b.resize(8)
					} else {
						b.setSlow(2)
					}
					<-time.After(20 * time.Second)
					b.setSlow(1)
					b.resize(16)
				}()
				for i := 0; i < 60; i += 2 {
					c.send(s, b, rate, 2*time.Second)
					if testing.Verbose() && f == 5 {
						st := s.Stats()
						t.Log(i+2, st.Limit, st.Reason, st.BaselineMillis, st.Latency.Mean, c.good(time.Duration(i)*time.Second, time.Duration(i+2)*time.Second)/2)
					}
				}
				c.wait.Wait()
				t.Logf("%s %v good/s all %.0f dip %.0f back %.0f lost P0 %.3f  %v limit %.1f", kind, f, c.good(0, time.Minute)/60, c.good(30*time.Second, 40*time.Second)/10, c.good(50*time.Second, 60*time.Second)/10, c.lost(Critical), s.Stats().TotalRejected, s.Stats().Limit)
				s.Close()
			})
		}
	}
}
