package main

import (
	"crypto/rand"
	"encoding/binary"
	"strings"
)

const (
	qualities = "amber brave brisk calm clear clever cosy crisp deft eager early fair fleet fond frank fresh gentle glad grand hardy hazel ivory jolly keen kind lively lucid lunar mellow merry mild misty neat nimble noble olive plain polar prime proud quick quiet rapid ready rosy royal rustic silver sleek snowy solar sound steady sunny swift tidal tidy vivid warm wise witty young zesty"
	animals   = "badger bat bear beaver bison bobcat cat crane crow deer dingo dove duck eagle egret elk falcon ferret finch fox gecko goat goose hare hawk heron horse ibis jay kite koala lark lemur lion llama lynx marten mole moose moth mouse newt otter owl panda pika puffin quail raven robin seal shrew skunk snail sparrow stoat stork swan tapir tern tiger toad vole wolf wren"
)

// newName returns a name for a session: two words, that people can say, and four
// letters, that make it the only one of its log.
func newName() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // it never fails
	n := binary.LittleEndian.Uint64(b[:])
	pick := func(from []string) string {
		s := from[n%uint64(len(from))]
		n /= uint64(len(from))
		return s
	}
	const letters = "abcdefghjkmnpqrstuvwxyz23456789"
	name := pick(strings.Fields(qualities)) + "-" + pick(strings.Fields(animals)) + "-"
	for range 4 {
		name += string(letters[n%uint64(len(letters))])
		n /= uint64(len(letters))
	}
	return name
}
