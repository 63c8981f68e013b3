module github.com/sesguard/sesguard-go/examples/lambda

go 1.26.0

require (
	github.com/aws/aws-lambda-go v1.55.1
	github.com/sesguard/sesguard-go v0.0.0
)

replace github.com/sesguard/sesguard-go => ../..
