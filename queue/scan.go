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
func (s *Store) scan(ctx context.Context, kind string, cfg jetstream.OrderedConsumerConfig, each func(jetstream.Msg) (bool, error)) error {
	stream := s.names.stream(kind)
	consumer, err := s.js.OrderedConsumer(ctx, stream, cfg)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", stream, err)
	}
	defer s.dropConsumer(kind, consumer)
	info, err := consumer.Info(ctx)
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", stream, err)
	}
	if info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("reading stream %s: %w", stream, err)
	}
	defer messages.Stop()
	for {
		msg, err := nextUnlessEmpty(ctx, consumer, messages)
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", stream, err)
		}
		if msg == nil {
			return nil
		}
		meta, err := msg.Metadata()
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", stream, err)
		}
		more, err := each(msg)
		if err != nil || !more || meta.NumPending == 0 {
			return err
		}
	}
}

// nextUnlessEmpty is the next message, or nil if none is left. The count that came with the last message is not enough to
// know: what it counted may have been removed meanwhile, and waiting for it would never end.
func nextUnlessEmpty(ctx context.Context, consumer jetstream.Consumer, messages jetstream.MessagesContext) (jetstream.Msg, error) {
	for empty := false; ; {
		waitCtx, cancel := context.WithTimeout(ctx, scanPatience)
		msg, err := messages.Next(jetstream.NextContext(waitCtx))
		cancel()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return msg, err
		}
		if empty {
			return nil, nil //nolint:nilnil // "no more" is an ordinary answer here
		}
		info, err := consumer.Info(ctx)
		if err != nil {
			return nil, err
		}
		empty = info.NumPending == 0 // once more: the last one may be on its way
	}
}

// dropConsumer removes a reader's consumer at once. Left alone it would stay for minutes, with requests that the broker
// has to answer when it shuts down.
func (s *Store) dropConsumer(kind string, consumer jetstream.Consumer) {
	info := consumer.CachedInfo()
	if info == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
	defer cancel()
	if err := s.js.DeleteConsumer(ctx, s.names.stream(kind), info.Name); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		s.log.Debug("a consumer could not be removed, the broker will do it", zap.String("stream", kind), zap.Error(err))
	}
}
