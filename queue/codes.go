package queue

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that decide what to do. Source: nats-server errors.json.
const (
	codeWrongLastSequence         = jetstream.JSErrCodeStreamWrongLastSequence         // 10071
	codeWrongLastSequenceConstant = jetstream.JSErrCodeStreamWrongLastSequenceConstant // 10164

	codeBatchDisabled jetstream.ErrorCode = 10174 // atomic publish is disabled for the stream
	codeBatchSequence jetstream.ErrorCode = 10175 // a batch's message has no number
	codeBatchCommit   jetstream.ErrorCode = 10200 // a batch's last message is not marked as such

	codeUnavailable jetstream.ErrorCode = 10008 // JetStream temporarily unavailable
	codeServerFull  jetstream.ErrorCode = 10023 // insufficient resources
	codeStreamFull  jetstream.ErrorCode = 10077 // maximum bytes exceeded
)

// errorCode is the API's code, or 0 for an error that is not an answer: a timeout or a broken connection.
func errorCode(err error) jetstream.ErrorCode {
	if api := new(jetstream.APIError); errors.As(err, &api) {
		return api.ErrorCode
	}
	if js := jetstream.JetStreamError(nil); errors.As(err, &js) && js.APIError() != nil {
		return js.APIError().ErrorCode
	}
	return 0
}

func isConflict(err error) bool {
	code := errorCode(err)
	return code == codeWrongLastSequence || code == codeWrongLastSequenceConstant
}
