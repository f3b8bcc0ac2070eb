package admin

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/freshrelay/freshrelay/segment"
)

// Mask returns a call with its values replaced by their types: keys, nesting and order stay, so that one sees what
// was sent and not about whom. null stays, because it means something (empty this field). What tells nothing about a
// person stays too: type, times, message id, the sending library.
func Mask(event []byte) json.RawMessage {
	var b bytes.Buffer
	maskValue(&b, segment.Trim(event), "")
	return b.Bytes()
}

// plain are the paths whose values are shown; a path that ends with a dot stands for everything below it.
func plain() []string {
	return []string{
		"type", "messageId", "timestamp", "sentAt", "originalTimestamp", "receivedAt", "channel", "version",
		"context.library.", "context.personas.computation_class",
	}
}

func maskValue(b *bytes.Buffer, raw []byte, path string) {
	switch {
	case len(raw) == 0:
		b.WriteString("null")
	case segment.IsObject(raw):
		maskObject(b, raw, path)
	case segment.IsArray(raw):
		b.WriteByte('[')
		first := true
		for item, err := range segment.Elements(raw) {
			if err != nil {
				break // Mask is given what json.Valid has passed
			}
			if !first {
				b.WriteByte(',')
			}
			first = false
			maskValue(b, segment.Trim(item), path+"[]")
		}
		b.WriteByte(']')
	case shown(path):
		b.Write(raw)
	case raw[0] == '"':
		if bytes.Equal(raw, []byte(`""`)) {
			b.WriteString(`""`) // an empty value means something, like null
			return
		}
		b.WriteString(`"<string>"`)
	case raw[0] == 't' || raw[0] == 'f':
		b.WriteString(`"<boolean>"`)
	case raw[0] == 'n':
		b.WriteString("null")
	default:
		b.WriteString(`"<number>"`)
	}
}

func maskObject(b *bytes.Buffer, raw []byte, path string) {
	members, err := segment.Members(raw)
	if err != nil {
		b.WriteString("{}")
		return
	}
	b.WriteByte('{')
	for i, m := range members {
		if i > 0 {
			b.WriteByte(',')
		}
		name := m.Key
		if strings.Contains(name, "@") { // an address used as a key
			name = "<key>"
		}
		b.Write(quote(name))
		b.WriteByte(':')
		below := m.Key
		if path != "" {
			below = path + "." + m.Key
		}
		maskValue(b, segment.Trim(m.Raw), below)
	}
	b.WriteByte('}')
}

// quote writes a key as JSON. A string always encodes.
func quote(s string) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s)
	return bytes.TrimSpace(b.Bytes())
}

func shown(path string) bool {
	for _, p := range plain() {
		if path == p || strings.HasSuffix(p, ".") && strings.HasPrefix(path, p) {
			return true
		}
	}
	return false
}
