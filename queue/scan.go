package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

// scanPatience is how long a scan waits for a message before it asks whether there is one.
const scanPatience = 500 * time.Millisecond

// scan reads what a stream holds at this moment, oldest first, until each says false.
func (s *Store) scan(ctx context.Context, stream jetstream.Stream, cfg jetstream.OrderedConsumerConfig, each func(jetstream.Msg) (bool, error)) error {
	name := stream.CachedInfo().Config.Name
	failed := func(err error) error { return fmt.Errorf("reading stream %s: %w", name, err) }
	consumer, err := s.js.OrderedConsumer(ctx, name, cfg)
	if err != nil {
		return failed(err)
	}
	defer s.dropConsumer(name, consumer)
	info, err := consumer.Info(ctx)
	if err != nil {
		return failed(err)
	}
	r := scanning{stream: stream, subject: ">", seen: info.Delivered.Stream, counted: info.NumPending}
	if len(cfg.FilterSubjects) > 0 {
		r.subject = cfg.FilterSubjects[0] // nobody asks for two
	}
	if r.counted == 0 {
		if over, err := r.over(ctx); err != nil {
			return failed(err)
		} else if over {
			return nil
		}
	}
	if r.messages, err = consumer.Messages(); err != nil {
		return failed(err)
	}
	defer r.messages.Stop()
	for {
		msg, err := r.next(ctx)
		if err != nil {
			return failed(err)
		}
		if msg == nil {
			return nil
		}
		meta, err := msg.Metadata()
		if err != nil {
			return failed(err)
		}
		r.seen = meta.Sequence.Stream
		more, err := each(msg)
		if err != nil || !more {
			return err
		}
		r.counted = meta.NumPending
	}
}

// scanning is a scan under way.
type scanning struct {
	stream   jetstream.Stream
	messages jetstream.MessagesContext
	subject  string
	seen     uint64 // sequence up to which it has come
	counted  uint64 // what was left then, as the broker counts. It is a hint: see over
}

// next is the next message, or nil if none is left.
func (r *scanning) next(ctx context.Context) (jetstream.Msg, error) {
	for {
		if r.counted == 0 {
			if over, err := r.over(ctx); err != nil || over {
				return nil, err
			}
		}
		waitCtx, cancel := context.WithTimeout(ctx, scanPatience)
		msg, err := r.messages.Next(jetstream.NextContext(waitCtx))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return msg, err
		}
		r.counted = 0 // what was counted may have been removed meanwhile, and waiting for it would never end
	}
}

// over says whether nothing is left, by what the stream holds. The broker's count is not enough: a message that is removed while the
// consumer is made is counted out twice, so the count comes to 0 before the last message; and the last may be on its way.
func (r *scanning) over(ctx context.Context) (bool, error) {
	_, err := r.stream.GetMsg(ctx, r.seen+1, jetstream.WithGetMsgSubject(r.subject))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("looking for a next message: %w", err)
	}
	return false, nil
}

// dropConsumer removes a reader's consumer at once. Left alone it would stay for minutes, with requests that the broker
// has to answer when it shuts down.
func (s *Store) dropConsumer(stream string, consumer jetstream.Consumer) {
	info := consumer.CachedInfo()
	if info == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := s.js.DeleteConsumer(ctx, stream, info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.log.Debug("a consumer could not be removed, the broker will do it", zap.String("stream", stream), zap.Error(err))
	}
}
