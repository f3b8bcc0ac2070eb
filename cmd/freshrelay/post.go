package main

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // Segment signs webhooks with HMAC-SHA1
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/freshrelay/freshrelay/app/config"
)

// post is one request made of a file.
type post struct {
	file   string
	body   []byte // the file's bytes, changed only where a messageId had to be added
	signed []byte // what a webhook signs: the call, or the first one of an array
	calls  []call
	form   form
}

type form int

const (
	formCall  form = iota // one call
	formArray             // an array, as Segment's webhooks send batches
	formBatch             // {"batch": […]}, as the libraries send them
)

// call is one call of a post.
type call struct {
	typ, id string
	name    string // of a track or page call
	// half is the type of the journal's line about it. A group call has two: its user's is waited for, if it has a user.
	half  string
	ownID bool // the file had the id, so that earlier calls may have had it too
}

// stored reports whether the service keeps the call of a source that forwards these; the others it takes and drops.
func (c call) stored(f config.Forward) bool {
	switch c.typ {
	case "identify", "group", "alias", "delete":
		return true
	}
	return f.Takes(c.typ, c.name)
}

// readPost reads a file. As a Segment library would, it gives each call a messageId that has none; a file whose calls
// all have one is sent as it is.
func readPost(name string, data []byte) (*post, error) {
	data = bytes.TrimSpace(data)
	ps := &post{file: name, body: data}
	if len(data) > 0 && data[0] == '[' {
		ps.form = formArray
		items, err := ps.list(data)
		if err != nil {
			return nil, err
		}
		ps.body, ps.signed = joinArray(items), items[0]
		return ps, nil
	}
	var envelope map[string]json.RawMessage
	if err := json.Unmarshal(data, &envelope); err != nil {
		return nil, fmt.Errorf("%s is not JSON with calls: %w", name, err)
	}
	batch, ok := envelope["batch"]
	if !ok {
		body, err := ps.add(data)
		ps.body, ps.signed = body, body
		return ps, err
	}
	ps.form = formBatch
	items, err := ps.list(batch)
	if err != nil {
		return nil, err
	}
	ps.signed = items[0]
	if !ps.allOwnIDs() {
		envelope["batch"] = joinArray(items)
		if ps.body, err = json.Marshal(envelope); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return ps, nil
}

func (ps *post) allOwnIDs() bool {
	return !slices.ContainsFunc(ps.calls, func(c call) bool { return !c.ownID })
}

// list reads an array of calls and returns them, each with a messageId.
func (ps *post) list(data []byte) ([][]byte, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		return nil, fmt.Errorf("%s is not JSON with calls: %w", ps.file, err)
	}
	if len(items) == 0 {
		return nil, fmt.Errorf("%s holds no calls", ps.file)
	}
	out := make([][]byte, len(items))
	for i, item := range items {
		part, err := ps.add(item)
		if err != nil {
			return nil, err
		}
		out[i] = part
	}
	return out, nil
}

// joinArray makes an array whose first element begins at offset 1, where Segment's signature begins.
func joinArray(items [][]byte) []byte {
	return append(append([]byte{'['}, bytes.Join(items, []byte{','})...), ']')
}

// add notes a call and returns it with a messageId.
func (ps *post) add(raw []byte) ([]byte, error) {
	var said struct {
		Type      string `json:"type"`
		MessageID any    `json:"messageId"`
		UserID    any    `json:"userId"`
		Event     any    `json:"event"`
		Name      any    `json:"name"`
	}
	if err := json.Unmarshal(raw, &said); err != nil || raw[0] != '{' {
		return nil, fmt.Errorf("%s: call %d is not an object with a type", ps.file, len(ps.calls))
	}
	c := call{typ: strings.ToLower(said.Type)}
	if c.typ == "" {
		c.typ = "identify" // what /v1/identify makes of it
	}
	if c.half = c.typ; c.typ == "group" && said.UserID == nil {
		c.half = "account"
	}
	switch c.typ {
	case "track":
		c.name, _ = said.Event.(string)
	case "page":
		c.name, _ = said.Name.(string)
	}
	if id, ok := said.MessageID.(string); ok && strings.TrimSpace(id) != "" {
		c.id, c.ownID = id, true
	} else {
		c.id = "send-" + strings.ToLower(rand.Text())
		raw = withID(raw, c.id)
	}
	ps.calls = append(ps.calls, c)
	return raw, nil
}

// withID adds the id at the end of an object: where a key stands twice, the last one counts.
func withID(object []byte, id string) []byte {
	head := bytes.TrimSpace(object)
	head = bytes.TrimSpace(head[:len(head)-1])
	comma := ","
	if len(head) == 1 { // only the brace
		comma = ""
	}
	return fmt.Appendf(nil, `%s%s"messageId":%q}`, head, comma, id)
}

// path is where the post goes, and whether that is a webhook. An array is what webhooks send; a single call of another
// type than identify has no path in the Tracking API here.
func (ps *post) path(via, source string) (path string, webhook bool) {
	switch {
	case via == "webhook", via == "auto" && ps.form == formArray,
		via == "auto" && ps.form == formCall && ps.calls[0].typ != "identify":
		return "/webhook/" + source, true
	case ps.form == formCall:
		return "/v1/" + ps.calls[0].typ, false
	default:
		return "/v1/batch", false
	}
}

// sign is the signature of a webhook. Source: Segment docs, Webhooks destination, "Authenticating your webhook".
func sign(secret string, data []byte) string {
	mac := hmac.New(sha1.New, []byte(secret))
	mac.Write(data)
	return hex.EncodeToString(mac.Sum(nil))
}
