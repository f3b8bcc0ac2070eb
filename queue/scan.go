package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"
)

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
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("reading stream %s: %w", stream, err)
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
