//go:build race

package extract

// raced: the race detector maps far more memory than a worker may have.
const raced = true
