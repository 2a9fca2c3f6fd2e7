package trace

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// mooncakeDecoder reads one LLM request a line: every element of hash_ids, one
// for each block of its prompt, is an access at the request's time.
type mooncakeDecoder struct {
	lines
	request mooncakeRequest
	index   int // of the next access in request.HashIDs
}

type mooncakeRequest struct {
	Timestamp *float64 `json:"timestamp"` // milliseconds
	HashIDs   []uint64 `json:"hash_ids"`
}

func (d *mooncakeDecoder) decode(dst []Access) (n int, err error) {
	for n < len(dst) {
		if d.index == len(d.request.HashIDs) {
			if err := d.read(); err != nil {
				return n, err
			}
			continue
		}
		a := Access{Key: d.request.HashIDs[d.index]}
		if t := d.request.Timestamp; t != nil {
			a.Time, a.HasTime = time.Duration(*t*float64(time.Millisecond)), true
		}
		dst[n] = a
		n++
		d.index++
	}
	return n, nil
}

// read reads the next line into the request.
func (d *mooncakeDecoder) read() error {
	line, err := d.next()
	if err != nil || len(line) == 0 {
		return err
	}
	d.index, d.request = 0, mooncakeRequest{}
	if err := json.Unmarshal(line, &d.request); err != nil {
		d.request = mooncakeRequest{}
		return fmt.Errorf("want a JSON object with timestamp and hash_ids: %w", err)
	}
	if d.request.HashIDs == nil {
		return errors.New("want a JSON object with timestamp and hash_ids: hash_ids is missing")
	}
	if t := d.request.Timestamp; t != nil && (*t < 0 || *t > math.MaxInt64/1e7) {
		return fmt.Errorf("timestamp %g: want milliseconds from 0 on", *t)
	}
	return nil
}
