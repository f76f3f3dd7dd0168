// Package load sends requests to an origin by several routes and compares what
// they cost.
//
// A machine is never quiet. So no figure is taken alone: every comparison runs
// in rounds, inside a round every contender has its turn in a shuffled order,
// ratios are taken inside the round, and what is reported is their median. What
// a request costs is read from the CPU clock of the process that carried it,
// which neighbours hardly move; latencies are differences inside one turn.
package load
