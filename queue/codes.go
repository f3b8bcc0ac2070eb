package queue

import (
	"errors"

	"github.com/nats-io/nats.go/jetstream"
)

// Error codes of JetStream that decide what to do. Source: nats-server errors.json.
const (
	codeWrongLastSequence         = jetstream.JSErrCodeStreamWrongLastSequence         // 10071
	codeWrongLastSequenceConstant = jetstream.JSErrCodeStreamWrongLastSequenceConstant // 10164: and on replicas "one is in process"

	codeBatchDisabled jetstream.ErrorCode = 10174 // atomic publish is disabled for the stream
	codeBatchSequence jetstream.ErrorCode = 10175 // a batch's message has no number
	codeBatchCommit   jetstream.ErrorCode = 10200 // a batch's last message is not marked as such

	codeServerFull   jetstream.ErrorCode = 10023 // insufficient resources
	codeStreamFull   jetstream.ErrorCode = 10077 // maximum bytes exceeded
	codeStorageLimit jetstream.ErrorCode = 10047 // insufficient storage for what a new stream reserves
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

// unclear says that a failed publish may be stored, or can be at another try: there was no answer, or one that only says
// that this is not the moment.
func unclear(err error) bool {
	switch errorCode(err) {
	case 0, // no answer: a timeout, no leader, a broken connection
		10008,        // JetStream is temporarily unavailable
		10009,        // not the leader
		10118, 10194, // the stream is offline
		10158, // the first try is still being replicated
		10163: // a new leader is not ready to compare sequences yet
		return err != nil
	}
	return false
}
