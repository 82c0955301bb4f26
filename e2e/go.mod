module github.com/victor-ai/victorgen/e2e

go 1.26.0

replace github.com/victor-ai/victorgen => ../
