package ingest_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/freshrelay/freshrelay/ingest"
	"github.com/freshrelay/freshrelay/segment"
)

func hostileJSON() []hostile {
	return []hostile{
		{"nothing", identifyWith(""), malformed},
		{"blanks", identifyWith(" \t\r\n"), malformed},
		{"text", identifyWith(marker), malformed},
		{"a form", identifyWith("data=" + marker), malformed},
		{"XML", identifyWith("<identify>" + marker + "</identify>"), malformed},
		{"a zero byte", identifyWith("{}\x00"), malformed},
		{"byte order mark", identifyWith("\ufeff{}"), malformed},
		{"UTF-16", identifyWith("{\x00}\x00"), malformed},
		{"open object", identifyWith("{"), malformed},
		{"closed only", identifyWith("}"), malformed},
		{"key only", identifyWith(`{"a"}`), malformed},
		{"no value", identifyWith(`{"a":}`), malformed},
		{"bare key", identifyWith(`{a:1}`), malformed},
		{"single quotes", identifyWith(`{'a':1}`), malformed},
		{"comma behind", identifyWith(`{"a":1,}`), malformed},
		{"comment", identifyWith(`{} // ` + marker), malformed},
		{"two objects", identifyWith(`{}{}`), malformed},
		{"lines of objects", identifyWith("{}\n{}"), malformed},
		{"wrong bracket", identifyWith(`{"a":[}]`), malformed},
		{"string cut", identifyWith(`{"a":"` + marker), malformed},
		{"escape cut", identifyWith(`{"a":"\`), malformed},
		{"escape of nothing", identifyWith(`{"a":"\x"}`), malformed},
		{"half an escape", identifyWith(`{"a":"\u12"}`), malformed},
		{"line in a string", identifyWith("{\"a\":\"\n\"}"), malformed},
		{"NaN", identifyWith(`{"a":NaN}`), malformed},
		{"Infinity", identifyWith(`{"a":-Infinity}`), malformed},
		{"undefined", identifyWith(`{"a":undefined}`), malformed},
		{"plus", identifyWith(`{"a":+1}`), malformed},
		{"leading zero", identifyWith(`{"a":01}`), malformed},
		{"hexadecimal", identifyWith(`{"a":0x10}`), malformed},
		{"dot alone", identifyWith(`{"a":.5}`), malformed},
		{"half an exponent", identifyWith(`{"a":1e}`), malformed},
		{"true in capitals", identifyWith(`{"a":True}`), malformed},
		{"JSONP", identifyWith(`callback({})`), malformed},
		{"batch with a hole", batchWith(`{"batch":[{}, ,{}]}`), malformed},
		{"batch with a comma behind", batchWith(`{"batch":[{},]}`), malformed},
		{"batch never closed", batchWith(`{"batch":[{"type":"identify"}`), malformed},
		{"webhook array never closed", hookWith(`[{"type":"identify"}`), malformed},
		{"webhook two arrays", hookWith(`[][]`), malformed},
		{"webhook lines", hookWith("{\"type\":\"identify\"}\n{\"type\":\"identify\"}"), malformed},
		{"a string", identifyWith(`"` + marker + `"`), noObject},
		{"a number", identifyWith(`1e999`), noObject},
		{"null", identifyWith(`null`), noObject},
		{"an array", identifyWith(`[{}]`), noObject},
		{"batch as an array", batchWith(`[{"type":"identify"}]`), noObject},
		{"webhook null", hookWith(`null`), noObject},
		{"webhook string", hookWith(`"` + marker + `"`), noObject},
		{"no batch", batchWith(`{}`), noBatch},
		{"batch null", batchWith(`{"batch":null}`), noBatch},
		{"batch object", batchWith(`{"batch":{"0":{}}}`), noBatch},
		{"batch string", batchWith(`{"batch":"[]"}`), noBatch},
		{"batch in capitals", batchWith(`{"BATCH":[]}`), noBatch},
		{"batch twice, the last is none", batchWith(`{"batch":[{"type":"identify"}],"batch":7}`), noBatch},
	}
}

func nested(open, shut string, n int) string {
	return strings.Repeat(open, n) + "1" + strings.Repeat(shut, n)
}

func hostileShapes(t *testing.T) []hostile {
	t.Helper()
	pad := func(n int) string { return strings.Repeat("x", n) }
	deep := nested(`{"a":`, `}`, segment.MaxDepth+1)
	keys := `{"type":"identify","traits":{"":0` + strings.Repeat(`,"":0`, segment.MaxKeys) + `}}`
	return []hostile{
		{"one byte too large", identifyWith(`{"a":"` + pad(segment.MaxEventBytes-7) + `"}`), tooLarge},
		{"batch too large", batchWith(`{"batch":[],"a":"` + pad(segment.MaxBatchBytes) + `"}`), tooLarge},
		{"blanks too large", identifyWith(strings.Repeat(" ", 64<<10) + `{}`), tooLarge},
		{"umlauts count as bytes", identifyWith(`{"a":"` + strings.Repeat("ü", segment.MaxEventBytes/2) + `"}`), tooLarge},
		{"webhook too large", hookWith(`{"a":"` + pad(segment.MaxWebhookBytes) + `"}`), tooLargeHook},
		{"webhook event too large", hookWith(`{"type":"identify","a":"` + pad(segment.MaxWebhookEventBytes) + `"}`), tooLargeHook},
		{"webhook array too long", hookWith(`[` + strings.Repeat(`0,`, segment.MaxWebhookEvents) + `0]`), tooLargeHook},
		{"large event in a batch", batchWith(`{"batch":[{"type":"identify","a":"` + pad(segment.MaxEventBytes) + `"},{"type":"identify"}]}`), droppedAs(1, "other", ingest.DropTooLarge).and(1)},
		{"long batch", batchWith(`{"batch":[` + strings.Repeat(`0,`, 200_000) + `0]}`), droppedAs(200_001-segment.MaxBatchEvents, "other", ingest.DropBatchOverflow)},
		{"announced smaller than it is", identifyWith(`{"a":"`+pad(100)+`"}`, length(3)), harmless(1)}, // a server never passes this on
		{"announced too large", identifyWith(`{}`, length(1<<40)), tooLarge},
		{"too deep", identifyWith(deep), tooComplex},
		{"too deep by arrays", identifyWith(`{"a":` + nested(`[`, `]`, segment.MaxDepth) + `}`), tooComplex},
		{"as deep as allowed", identifyWith(nested(`{"a":`, `}`, segment.MaxDepth)), harmless(1)},
		{"webhook too deep", hookWith(deep), tooComplex},
		{"too deep for any parser", identifyWith(`{"a":` + strings.Repeat(`[`, 20_000)), malformed},
		{"too deep, closed", batchWith(`{"batch":[` + nested(`[`, `]`, 9_000) + `]}`), droppedAs(1, "other", ingest.DropNotObject)},
		{"deeper than encoding/json goes", batchWith(`{"batch":[` + nested(`[`, `]`, 12_000) + `]}`), malformed},
		{"deep event in a batch", batchWith(`{"batch":[` + deep + `]}`), droppedAs(1, "other", ingest.DropTooComplex)},
		{"brackets in a string", identifyWith(`{"a":"` + strings.Repeat(`[{`, 10_000) + `"}`), harmless(1)},
		{"too many keys", hookWith(keys), tooComplex},
		{"too many keys in an array", hookWith(`[` + keys + `]`), droppedAs(1, "other", ingest.DropTooComplex)},
		{"the same key 5,000 times", identifyWith(`{"userId":"a"` + strings.Repeat(`,"a":0`, 5_000) + `}`), harmless(1)},
		{"writeKey 1,000 times", identifyWith(`{"a":0` + strings.Repeat(`,"writeKey":"`+key+`"`, 1_000) + `}`), harmless(1)},
		{"empty keys", identifyWith(`{"":{"":{"":""}}}`), harmless(1)},
		{"shared context too deep", batchWith(`{"batch":[{"type":"identify"}],"context":` + deep + `}`), tooComplex},
		{"shared context with too many keys", batchWith(`{"batch":[{"type":"identify"}],"context":{"":0` + strings.Repeat(`,"":0`, segment.MaxKeys) + `}}`), tooComplex},
		{"shared context for too many", batchWith(`{"batch":[` + strings.Repeat(`{"type":"screen"},`, 2_400) + `{}],"context":{"a":"` + pad(16<<10) + `"}}`), tooLarge},
		{"shared integrations too deep", batchWith(`{"batch":[{"type":"identify"}],"integrations":` + deep + `}`), tooComplex},
		{"context that does not merge", batchWith(`{"batch":[{"type":"identify","context":7}],"context":{"a":1}}`), harmless(1)},
		{"context of the wrong kind", batchWith(`{"batch":[{"type":"identify"}],"context":[1]}`), harmless(1)},
		{"prototype", identifyWith(`{"__proto__":{"type":"delete"},"constructor":{"prototype":{}}}`), harmless(1)},
		{"number of a megabyte's worth", identifyWith(`{"traits":{"n":1e999999999}}`), harmless(1)},
		{"long number", identifyWith(`{"traits":{"n":` + strings.Repeat("9", 30_000) + `}}`), harmless(1)},
		{"user of thirty thousand nines", identifyWith(`{"userId":` + strings.Repeat("9", 30_000) + `}`), harmless(1)},
	}
}

func hostileEvents() []hostile {
	one := func(event string) string { return `{"batch":[` + event + `]}` }
	return []hostile{
		{"type unknown", batchWith(one(`{"type":"` + marker + `"}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type missing", batchWith(one(`{}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type null", batchWith(one(`{"type":null}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type list", batchWith(one(`{"type":["identify"]}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type endless", batchWith(one(`{"type":"` + strings.Repeat("i", 30_000) + `"}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type with a blank", batchWith(one(`{"type":"identify "}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"type with a dotless i", batchWith(one(`{"type":"ıdentify"}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"delete by a browser's key", batchWith(one(`{"type":"delete","userId":"u-1"}`)), droppedAs(1, "delete", ingest.DropInvalidType)},
		{"delete by path and body", identifyWith(`{"type":"delete","userId":"u-1"}`), harmless(1)}, // the path's type wins
		{"batch in a batch", batchWith(one(`{"batch":[{"type":"identify"}]}`)), droppedAs(1, "other", ingest.DropInvalidType)},
		{"arrays in an array", hookWith(`[[{"type":"identify"}]]`), droppedAs(1, "other", ingest.DropNotObject)},
		{"holes", batchWith(`{"batch":[null,0,"` + marker + `",[],true]}`), droppedAs(5, "other", ingest.DropNotObject)},
		{"webhook of a mapping", hookWith(`{"email":"a@example.test"}`), droppedAs(1, "other", ingest.DropInvalidType)},
		{"webhook wrapper of nothing", hookWith(`[{"json":null}]`), droppedAs(1, "other", ingest.DropInvalidType)},
		{"user is an object", identifyWith(`{"userId":{"$gt":""}}`), harmless(1)},
		{"user with line and zero", identifyWith(`{"userId":"a\n\u0000b"}`), harmless(1)},
		{"user like a subject", identifyWith(`{"userId":"*.>"}`), harmless(1)},
		{"user of half a surrogate", identifyWith(`{"userId":"\ud800"}`), harmless(1)},
		{"user of bytes that are no text", identifyWith("{\"userId\":\"\xff\xfe\"}"), harmless(1)},
		{"message id of thirty kilobytes", identifyWith(`{"messageId":"` + strings.Repeat("m", 30_000) + `"}`), harmless(1)},
		{"message id with a line", identifyWith(`{"messageId":"a\nb"}`), harmless(1)},
		{"sentAt of thirty kilobytes", identifyWith(`{"sentAt":"` + strings.Repeat("9", 30_000) + `"}`), harmless(1)},
		{"time before time", identifyWith(`{"timestamp":"0000-00-00T00:00:00Z","sentAt":-1}`), harmless(1)},
		{"time of another kind", identifyWith(`{"timestamp":{},"sentAt":[]}`), harmless(1)},
		{"time far ahead", identifyWith(`{"timestamp":"9999-12-31T23:59:59Z","sentAt":"1970-01-01T00:00:01Z"}`), harmless(1)},
		{"traits of another kind", identifyWith(`{"traits":"x","context":1,"integrations":[false]}`), harmless(1)},
		{"integrations of strange values", identifyWith(`{"integrations":{"ALL":"false","all":[],"Freshmarketer":0}}`), harmless(1)},
		{"client metrics without sense", request("/v1/m", marker), harmless(0)},
	}
}

func hostileEncodings(t *testing.T) []hostile {
	t.Helper()
	encoded := func(name string) option { return header("Content-Encoding", name) }
	whole := zip(t, `{"userId":"u-1"}`)
	damaged := []byte(whole)
	damaged[len(damaged)-6] ^= 0xff
	return []hostile{
		{"brotli", identifyWith(marker, encoded("br")), badEncoding},
		{"deflate", identifyWith(marker, encoded("deflate")), badEncoding},
		{"zstd", identifyWith(marker, encoded("zstd")), badEncoding},
		{"gzip twice in one", identifyWith(whole, encoded("gzip, gzip")), badEncoding},
		{"gzip twice in two", identifyWith(whole, encoded("gzip"), func(r *http.Request) { r.Header.Add("Content-Encoding", "gzip") }), badEncoding},
		{"gzip after identity", identifyWith(whole, encoded("identity, gzip")), badEncoding},
		{"endless encoding", identifyWith(whole, encoded(strings.Repeat("gzip,", 10_000))), badEncoding},
		{"not gzip", identifyWith(`{}`, encoded("gzip")), badGzip},
		{"gzip of nothing at all", identifyWith("", encoded("gzip")), badGzip},
		{"gzip header only", identifyWith(whole[:10], encoded("gzip")), badGzip},
		{"gzip cut short", identifyWith(whole[:len(whole)-9], encoded("gzip")), badGzip},
		{"gzip without its sum", identifyWith(whole[:len(whole)-8], encoded("gzip")), badGzip},
		{"gzip with a wrong sum", identifyWith(string(damaged), encoded("gzip")), badGzip},
		{"gzip and more", identifyWith(whole+marker, encoded("gzip")), badGzip},
		{"gzip of gzip", identifyWith(zip(t, whole), encoded("gzip")), malformed},
		{"gzip of text", identifyWith(zip(t, marker), encoded("gzip")), malformed},
		{"gzip of nothing", identifyWith(zip(t, ""), encoded("gzip")), malformed},
		{"gzip not announced", identifyWith(whole), malformed},
		{"gzip bomb", identifyWith(zip(t, strings.Repeat(" ", 2<<20)), encoded("gzip")), tooLarge},
		{"gzip bomb of many", batchWith(bombOf(t, 8), encoded("gzip")), tooLarge},
		{"gzip bomb for the webhook", hookWith(bombOf(t, 32), encoded("gzip")), tooLargeHook},
		{"gzip with a long name", identifyWith("\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xff"+strings.Repeat("n", 8192), encoded("gzip")), badGzip},
		{"cut off", identifyWith("", broken(io.ErrUnexpectedEOF)), cutOff},
		{"chunks that are none", identifyWith("", broken(errors.New("malformed chunked encoding"))), cutOff},
		{"gzip cut off", identifyWith("", broken(io.ErrUnexpectedEOF), encoded("gzip")), badGzip},
		{"webhook cut off", hookWith("", broken(io.ErrUnexpectedEOF)), cutOff},
		{"strange content type", identifyWith(`{}`, header("Content-Type", "multipart/form-data; boundary="+marker)), harmless(1)},
		{"charset that it is not", identifyWith(`{}`, header("Content-Type", "application/json; charset=utf-16")), harmless(1)},
		{"origin with a line", identifyWith(`{}`, header("Origin", "https://a\r\nSet-Cookie: "+marker)), harmless(1)},
		{"forwarded for anybody", identifyWith(`{}`, header("X-Forwarded-For", strings.Repeat("127.0.0.1,", 1_000))), harmless(1)},
	}
}
