//go:build clients

package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
)

// The wire form of Segment's library for Go: the write key in Basic alone, the library's name in the batch and not in
// the events, times in nanoseconds and the sender's own zone, <, > and & escaped, and `all` in lower case.
// Source: analytics-go v3.3.0, message.go, identify.go, integrations.go and analytics.go.

const (
	goBatch    = 250 // events in a request
	goAttempts = 10
	goFirst    = 100 * time.Millisecond // pause after the first attempt; it doubles
	goLongest  = 10 * time.Second
)

type goEnvelope struct {
	MessageID string            `json:"messageId"`
	SentAt    time.Time         `json:"sentAt"`
	Messages  []json.RawMessage `json:"batch"`
	Context   map[string]any    `json:"context"`
}

type goMessage struct {
	Type         string         `json:"type"`
	MessageID    string         `json:"messageId"`
	UserID       string         `json:"userId"`
	Event        string         `json:"event,omitempty"`
	Name         string         `json:"name,omitempty"`
	Timestamp    time.Time      `json:"timestamp"`
	Traits       map[string]any `json:"traits,omitempty"`
	Properties   map[string]any `json:"properties,omitempty"`
	Integrations map[string]any `json:"integrations,omitempty"`
}

// goSender gathers messages and sends them as the library does.
type goSender struct {
	host, key string
	client    *http.Client
	zone      *time.Location
	pending   []json.RawMessage
}

// runGo sends a job in the Go library's form, and ten users' calls that are not for this destination.
func runGo(ctx context.Context, t *testing.T, j job) sent {
	t.Helper()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	s := &goSender{host: j.Host, key: j.WriteKey, client: &http.Client{Transport: transport}, zone: time.FixedZone("", int((5*time.Hour + 30*time.Minute).Seconds()))}
	var made sent
	add := func(count *int, m goMessage) {
		m.MessageID, m.Timestamp = uuid.NewString(), time.Now().In(s.zone)
		*count++
		if err := s.add(m); err != nil {
			t.Fatal(err)
		}
	}
	for seq := 1; seq <= j.Rounds; seq++ {
		for i, user := range j.Users {
			traits := map[string]any{"email": user + "@example.test", "city": j.City, "Seq": seq}
			add(&made.Identify, goMessage{Type: "identify", UserID: user, Traits: traits, Integrations: map[string]any{"all": true}})
			add(&made.Track, goMessage{Type: "track", UserID: user, Event: "Order Completed", Properties: map[string]any{"total": 12.5}})
			if seq == 1 {
				add(&made.Page, goMessage{Type: "page", UserID: user, Name: "Home"})
			}
			if seq == 1 && i < 10 {
				other := fmt.Sprintf("not-for-us-%d", i)
				traits := map[string]any{"email": other + "@example.test"}
				add(&made.Disabled, goMessage{Type: "identify", UserID: other, Traits: traits, Integrations: map[string]any{"all": false}})
			}
		}
		if err := s.flush(ctx); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func (s *goSender) add(m goMessage) error {
	text, err := json.Marshal(m)
	s.pending = append(s.pending, text)
	return err
}

// flush sends everything, all batches at once, and returns when they are delivered: a user's calls in different batches
// have no order.
func (s *goSender) flush(ctx context.Context) error {
	var wg sync.WaitGroup
	errs := make([]error, (len(s.pending)+goBatch-1)/goBatch)
	for i := range errs {
		messages := s.pending[i*goBatch : min((i+1)*goBatch, len(s.pending))]
		wg.Go(func() { errs[i] = s.send(ctx, messages) })
	}
	wg.Wait()
	s.pending = nil
	return errors.Join(errs...)
}

// send repeats the same bytes, sentAt included, whatever the answer is.
func (s *goSender) send(ctx context.Context, messages []json.RawMessage) error {
	body, err := json.Marshal(goEnvelope{
		MessageID: uuid.NewString(), SentAt: time.Now().In(s.zone), Messages: messages,
		Context: map[string]any{"library": map[string]any{"name": "analytics-go", "version": "3.0.0"}},
	})
	if err != nil {
		return err
	}
	for i := range goAttempts {
		if err = s.upload(ctx, body); err == nil {
			return nil
		}
		select {
		case <-time.After(min(goFirst<<i, goLongest)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d messages given up: %w", len(messages), err)
}

func (s *goSender) upload(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.host+"/v1/batch", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "analytics-go (version: 3.0.0)")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Content-Length", strconv.Itoa(len(body)))
	req.SetBasicAuth(s.key, "")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s: %s", resp.Status, text)
	}
	return err
}
