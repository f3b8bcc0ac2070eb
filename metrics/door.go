package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Came is what came of one type of call by the door since the start, as events_received_total and events_total have it.
type Came struct {
	Type     string         `json:"type"`
	Received int            `json:"received"`
	Dropped  map[string]int `json:"dropped,omitempty"` // of them, by reason: answered with 200 and not stored
}

// Door says what came by the door, for people; types of which nothing came are left out. It reads the metrics themselves,
// so that nobody sees other figures than Prometheus does.
func (m *Metrics) Door() []Came {
	received, dropped := map[string]int{}, map[string]map[string]int{}
	each(m.received, func(labels map[string]string, n int) { received[labels["type"]] += n })
	each(m.settled, func(labels map[string]string, n int) {
		if labels["outcome"] != OutcomeDropped {
			return
		}
		typ := labels["type"]
		if dropped[typ] == nil {
			dropped[typ] = map[string]int{}
		}
		dropped[typ][labels["reason"]] += n
	})
	var out []Came
	for _, typ := range m.lists.types {
		if received[typ] > 0 {
			out = append(out, Came{Type: typ, Received: received[typ], Dropped: dropped[typ]})
		}
	}
	return out
}

// each gives every series of a counter that is not 0.
func each(c *prometheus.CounterVec, f func(labels map[string]string, n int)) {
	series := make(chan prometheus.Metric)
	go func() {
		defer close(series)
		c.Collect(series)
	}()
	for s := range series {
		var one dto.Metric
		if s.Write(&one) != nil || one.GetCounter().GetValue() == 0 {
			continue
		}
		labels := map[string]string{}
		for _, l := range one.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		f(labels, int(one.GetCounter().GetValue()))
	}
}
