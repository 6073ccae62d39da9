// Makes the calls that every client makes: client HOST WRITE_KEY COUNT.
package main

import (
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

var start = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

// A closing client gives up at the first failure, so the program waits for its messages before it closes.
type tracker struct {
	pending sync.WaitGroup
	failed  sync.Map
}

func (t *tracker) Success(analytics.Message) { t.pending.Done() }

func (t *tracker) Failure(message analytics.Message, err error) {
	t.failed.Store(message, err)
	t.pending.Done()
}

func main() {
	host, writeKey := os.Args[1], os.Args[2]
	count, err := strconv.Atoi(os.Args[3])
	must(err)
	sent := &tracker{}
	// snippet
	client, err := analytics.NewWithConfig(writeKey, analytics.Config{
		Endpoint:  host,
		BatchSize: 20,
		Callback:  sent,
	})
	// end
	must(err)
	for n := 0; n < count; n++ {
		for _, message := range calls(n) {
			sent.pending.Add(1)
			must(client.Enqueue(message))
		}
	}
	sent.pending.Wait()
	must(client.Close())
	sent.failed.Range(func(_, err any) bool {
		must(err.(error))
		return true
	})
}

func calls(n int) []analytics.Message {
	user := fmt.Sprintf("user-%d", n)
	at := start.Add(time.Duration(n) * time.Second)
	number := analytics.NewProperties().Set("n", n)
	return []analytics.Message{
		analytics.Identify{
			UserId:    user,
			Timestamp: at,
			Traits:    analytics.NewTraits().Set("n", n).SetName("Zoë ☕").Set("plan", "pro"),
		},
		analytics.Track{
			UserId:    user,
			Timestamp: at,
			Event:     "Order Completed",
			Properties: analytics.NewProperties().
				Set("n", n).
				Set("total", float64(n)+0.25).
				Set("big", int64(9007199254740991)).
				Set("name", "Zoë ☕").
				Set("orderedAt", at).
				Set("address", map[string]any{"city": "東京", "lines": []string{"1", "2"}}).
				Set("products", []map[string]any{{"sku": fmt.Sprintf("sku-%d", n), "quantity": 2}}),
		},
		analytics.Page{UserId: user, Timestamp: at, Name: "Home", Properties: number},
		analytics.Screen{UserId: user, Timestamp: at, Name: "Home", Properties: number},
		analytics.Group{
			UserId:    user,
			Timestamp: at,
			GroupId:   fmt.Sprintf("group-%d", n),
			Traits:    analytics.NewTraits().Set("n", n),
		},
		analytics.Alias{UserId: user, Timestamp: at, PreviousId: fmt.Sprintf("anonymous-%d", n)},
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
