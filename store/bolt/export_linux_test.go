package bolt

// FastCommits is for the test of recorded counts.
var FastCommits = fastCommits
