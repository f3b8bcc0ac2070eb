package ingest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzSignature signs any body as Segment would, with encoding/json to tell what that is, and checks that exactly this
// signature is accepted, and that whatever else is offered is not.
func FuzzSignature(f *testing.F) {
	files, err := filepath.Glob("testdata/segment/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no samples: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		if len(b) > 4<<10 {
			continue // minimising what is found near them would take all the time there is
		}
		f.Add(b, "ea4d7c8a455bb1d3049c6aebc63f5d478fbcd5ce")
	}
	for _, body := range []string{
		"", " ", "[", "[]", "[ ]", "[,]", "[1]", " [ {\"a\":[1,\"]\\\"\"]} , 2]", `[{"json":{"a":1.0}}]`, `{"json":{"a":1}}`,
		`[{"json":{},"json":{}}]`, `[{"json":1}]`, `["x`, `[tru`, "[\"\xff\"]", `[{"a":1}x]`, "\ufeff[1]",
	} {
		f.Add([]byte(body), "")
	}
	secrets := [][]byte{[]byte("old"), []byte("new")}
	f.Fuzz(func(t *testing.T, body []byte, offered string) {
		right := map[string]bool{}
		for _, part := range signable(body) {
			for _, secret := range secrets {
				right[signatureOf(secret, part)] = true
			}
		}
		for signature := range right {
			if !signed(secrets, body, signature) {
				t.Fatalf("refused the signature of %q", body)
			}
			if signed(secrets[:0], body, signature) || signed([][]byte{[]byte("other")}, body, signature) {
				t.Fatal("accepted without the secret")
			}
			wrong := []byte(signature)
			wrong[len(body)%len(wrong)] ^= 1
			if signed(secrets, body, string(wrong)) {
				t.Fatal("accepted a signature with a wrong bit")
			}
			if len(body) > 0 && json.Valid(body) && signed(secrets, append([]byte("x"), body...), signature) {
				t.Fatal("accepted the signature of another body")
			}
		}
		if json.Valid(body) && !right[strings.ToLower(strings.TrimSpace(offered))] && signed(secrets, body, offered) {
			t.Fatalf("accepted %q for %q", offered, body)
		}
	})
}

func signatureOf(secret, part []byte) string {
	mac := hmac.New(sha1.New, secret)
	mac.Write(part)
	return hex.EncodeToString(mac.Sum(nil))
}

// signable is what Segment can have signed of a body: the body, or the first element of an array, and what is in the
// wrapper of Extensible Webhook. It is empty for an array that is none or has no element.
func signable(body []byte) [][]byte {
	part := body
	if bytes.HasPrefix(bytes.TrimLeft(body, " \t\r\n"), []byte("[")) {
		var list []json.RawMessage
		if json.Unmarshal(body, &list) != nil || len(list) == 0 {
			return nil
		}
		part = list[0]
	}
	parts := [][]byte{part}
	d := json.NewDecoder(bytes.NewReader(part))
	if !json.Valid(part) || !nextIs(d, json.Delim('{')) || !nextIs(d, "json") {
		return parts
	}
	// The key is written without escapes by every writer there is.
	if inner := bytes.TrimLeft(part, " {\t\r\n"); !bytes.HasPrefix(inner, []byte(`"json"`)) {
		return parts
	}
	var inner json.RawMessage
	if err := d.Decode(&inner); err != nil || inner[0] != '{' || d.More() {
		return parts
	}
	return append(parts, inner)
}

func nextIs(d *json.Decoder, want json.Token) bool {
	token, err := d.Token()
	return err == nil && token == want
}
