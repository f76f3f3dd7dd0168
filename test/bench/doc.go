// Bench measures the budgets of outvet as ratios to reference proxies, all in
// one run on one machine. It reports and never fails on time; what it asserts is
// that every answer was whole. doc/performance.md says how to read and repeat
// it.
package main
