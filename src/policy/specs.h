// One function a policy file; catalogue.cpp lists them by hand.
#pragma once

#include "policy/policy.h"

namespace ebb::policy {

PolicySpec full_spec();
PolicySpec streaming_spec();
PolicySpec random_spec();
PolicySpec knorm_spec();
PolicySpec h2o_spec();
PolicySpec observed_attention_spec();
PolicySpec tova_spec();
PolicySpec tova_head_spec();
PolicySpec snapkv_spec();
PolicySpec keydiff_spec();
PolicySpec lagkv_spec();
PolicySpec lagkv_recursive_spec();
PolicySpec expected_attention_spec();

}  // namespace ebb::policy
