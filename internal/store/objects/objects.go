// Package objects keeps records in a bucket of any S3-compatible server. docs/formats.md describes the objects.
package objects

import (
	_ "github.com/aws/aws-sdk-go-v2/config"     // which objects will speak through
	_ "github.com/aws/aws-sdk-go-v2/service/s3" // likewise
)
