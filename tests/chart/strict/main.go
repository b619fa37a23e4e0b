// Strict reads Kubernetes objects (YAML documents) from standard input and decodes each into the API's
// own type: unknown and repeated fields, and values of a wrong type, end it with 1 and a line for each.
// A CustomResourceDefinition is judged as the API server does, with its rules in CEL and their costs, and
// objects of its kind that come after it are held to it. Kinds that are not Kubernetes' own, nor defined
// before, are passed over and named.
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes/scheme"
)

// Wrong prints what is wrong with one document and tells whether anything is.
func wrong(document []byte, decoder runtime.Decoder, kinds definitions) bool {
	var object map[string]interface{}
	if err := yaml.Unmarshal(document, &object); err != nil {
		fmt.Println(err)
		return true
	}
	if judged, faults := kinds.judge(object); judged {
		for _, fault := range faults {
			fmt.Println(fault)
		}
		return len(faults) > 0
	}
	decoded, _, err := decoder.Decode(document, nil, nil)
	if runtime.IsNotRegisteredError(err) {
		fmt.Printf("not Kubernetes' own: %v\n", object["kind"])
		return false
	}
	if err == nil {
		err = kinds.define(decoded)
	}
	if err != nil {
		fmt.Println(err)
	}
	return err != nil
}

func main() {
	read, faulty := 0, 0
	if err := apiextensions.AddToScheme(scheme.Scheme); err != nil {
		panic(err)
	}
	kinds := definitions{}
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
		read++
		if wrong(document, decoder, kinds) {
			faulty++
		}
	}
	if read == 0 {
		fmt.Println("nothing to read")
		os.Exit(1)
	}
	if faulty > 0 {
		os.Exit(1)
	}
}
