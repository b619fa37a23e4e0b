// Strict reads Kubernetes objects (YAML documents) from standard input and decodes each into the API's
// own type: unknown and repeated fields, and values of a wrong type, end it with 1 and a line for each.
// Kinds that are not Kubernetes' own are passed over and named.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

func main() {
	read, wrong := 0, 0
	decoder := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		var any map[string]interface{}
		if yaml.Unmarshal(document, &any) == nil && len(any) == 0 {
			continue
		}
		_, _, err = decoder.Decode(document, nil, nil)
		read++
		switch {
		case err == nil:
		case runtime.IsNotRegisteredError(err):
			fmt.Printf("not Kubernetes' own: %v\n", any["kind"])
		default:
			fmt.Println(err)
			wrong++
		}
	}
	if read == 0 {
		fmt.Println("nothing to read")
		os.Exit(1)
	}
	if wrong > 0 {
		os.Exit(1)
	}
}
