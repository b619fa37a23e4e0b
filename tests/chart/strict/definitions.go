package main

import (
	"context"
	"math"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	definition "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// What objects of one kind are held to.
type kind struct {
	schema *schema.Structural
	types  validation.SchemaValidator
	rules  *cel.Validator
}

// Kinds that CustomResourceDefinitions of the same input define, each by its name.
type definitions map[string]kind

// Define takes a CustomResourceDefinition in, or says what the API server would refuse; it passes over
// every other object.
func (d definitions) define(object runtime.Object) error {
	external, ok := object.(*apiextensionsv1.CustomResourceDefinition)
	if !ok {
		return nil
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(external)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(
		external, internal, nil)
	if err != nil {
		return err
	}
	internal.Status.StoredVersions = []string{internal.Spec.Versions[0].Name}
	if faults := definition.ValidateCustomResourceDefinition(context.Background(), internal); len(faults) > 0 {
		return faults.ToAggregate()
	}
	return d.add(internal)
}

func (d definitions) add(of *apiextensions.CustomResourceDefinition) error {
	held, err := apiextensions.GetSchemaForVersion(of, of.Spec.Versions[0].Name)
	if err != nil {
		return err
	}
	structural, err := schema.NewStructural(held.OpenAPIV3Schema)
	if err != nil {
		return err
	}
	types, _, err := validation.NewSchemaValidator(held.OpenAPIV3Schema)
	if err != nil {
		return err
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	d[of.Spec.Names.Kind] = kind{structural, types, rules}
	return nil
}

// Judge tells whether the object is of a kind that is defined, and what is wrong with it then.
func (d definitions) judge(object map[string]interface{}) (bool, []string) {
	name, _ := object["kind"].(string)
	of, known := d[name]
	if !known {
		return false, nil
	}
	var out []string
	for _, unknown := range pruning.PruneWithOptions(
		object, of.schema, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
		out = append(out, "unknown field "+unknown)
	}
	faults := validation.ValidateCustomResource(nil, object, of.types)
	broken, _ := of.rules.Validate(
		context.Background(), field.NewPath(""), of.schema, object, nil, math.MaxInt64)
	for _, fault := range append(faults, broken...) {
		out = append(out, fault.Error())
	}
	return true, out
}
