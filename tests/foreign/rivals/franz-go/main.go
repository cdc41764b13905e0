// Writes the lines of a file to a topic with franz-go, idempotent, which is its default.
//
//	produce BROKERS TOPIC FILE
//
// What it took is one JSON object on stdout.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"log"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Lines that share one piece of memory: a few large ones are cheaper to collect than a million small ones.
const pieceBytes = 1 << 20

type outcome struct {
	Client          string  `json:"client"`
	Records         int64   `json:"records"`
	Failed          int64   `json:"failed"`
	Seconds         float64 `json:"seconds"`
	CPUSeconds      float64 `json:"cpu_seconds"`
	PeakMemoryBytes int64   `json:"peak_memory_bytes"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("produce BROKERS TOPIC FILE")
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(strings.Split(os.Args[1], ",")...),
		kgo.DefaultProduceTopic(os.Args[2]),
		kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(200_000),
		kgo.MaxBufferedBytes(64<<20),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	if err := client.Ping(ctx); err != nil {
		log.Fatal(err)
	}
	file, err := os.Open(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}

	var stored, failed atomic.Int64
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed.Add(1)
		} else {
			stored.Add(1)
		}
	}
	began := time.Now()
	lines := bufio.NewScanner(file)
	lines.Buffer(make([]byte, 1<<20), 16<<20)
	var piece []byte
	for lines.Scan() {
		line := lines.Bytes()
		if len(piece)+len(line) > cap(piece) {
			piece = make([]byte, 0, max(pieceBytes, len(line)))
		}
		start := len(piece)
		piece = append(piece, line...)
		client.Produce(ctx, kgo.SliceRecord(piece[start:len(piece):len(piece)]), promise)
	}
	if err := lines.Err(); err != nil {
		log.Fatal(err)
	}
	if err := client.Flush(ctx); err != nil {
		log.Fatal(err)
	}
	seconds := time.Since(began).Seconds()

	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if err := json.NewEncoder(os.Stdout).Encode(outcome{
		"franz-go", stored.Load(), failed.Load(), seconds, cpu.Seconds(), used.Maxrss << 10,
	}); err != nil {
		log.Fatal(err)
	}
	if failed.Load() > 0 {
		os.Exit(1)
	}
}
