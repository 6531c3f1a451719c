#include "ops/cpu/product.h"

#include <algorithm>
#include <oneapi/dnnl/dnnl.hpp>

#include "shared/base/check.h"

namespace strand::cpu {
namespace {

constexpr size_t kMostProducts = 1024;

using Desc = dnnl::memory::desc;

dnnl::memory::data_type data_type(DType dtype) {
  return dtype == DType::kF32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
}

// A [rows, cols] operand whose stored rows are rows, or columns when transposed. oneDNN wants a stride of a whole row
// even where there is only one.
Desc operand(int64_t rows, int64_t cols, bool transposed, int64_t stride, DType dtype) {
  const int64_t step = std::max(stride, transposed ? rows : cols);
  return transposed ? Desc({rows, cols}, data_type(dtype), dnnl::memory::dims{1, step})
                    : Desc({rows, cols}, data_type(dtype), dnnl::memory::dims{step, 1});
}

dnnl::matmul::primitive_desc describe(const ProductKey& key, const dnnl::engine& engine) {
  const Desc a = operand(key.m, key.k, key.transpose_a, key.stride_a, key.inputs);
  const Desc b = operand(key.k, key.n, key.transpose_b, key.stride_b, key.inputs);
  const Desc c = operand(key.m, key.n, false, key.stride_c, key.output);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (key.accumulate) {
    dnnl::post_ops post;
    post.append_sum(1.0f);
    attributes.set_post_ops(post);
  }
  if (!key.bias) return {{a, b, c}, attributes, engine};
  const Desc bias({1, key.n}, dnnl::memory::data_type::f32, dnnl::memory::dims{key.n, 1});
  return {{a, b, bias, c}, attributes, engine};
}

class DnnlProduct : public Product {
 public:
  DnnlProduct(const ProductKey& key, dnnl::engine engine, dnnl::stream stream)
      : engine_(std::move(engine)), stream_(std::move(stream)), desc_(describe(key, engine_)), product_(desc_) {}

  size_t scratch_bytes() const override { return desc_.scratchpad_desc().get_size(); }

  void run(const void* a, const void* b, void* c, const float* bias, void* scratch) const override {
    try {
      std::unordered_map<int, dnnl::memory> args{{DNNL_ARG_SRC, view(desc_.src_desc(), a)},
                                                 {DNNL_ARG_WEIGHTS, view(desc_.weights_desc(), b)},
                                                 {DNNL_ARG_DST, view(desc_.dst_desc(), c)},
                                                 {DNNL_ARG_SCRATCHPAD, view(desc_.scratchpad_desc(), scratch)}};
      if (bias != nullptr) args.emplace(DNNL_ARG_BIAS, view(desc_.bias_desc(), bias));
      dnnl::stream stream = stream_;
      product_.execute(stream, args);
    } catch (const dnnl::error& error) {
      STRAND_CHECK(false, "oneDNN matrix product: ", error.what());
    }
  }

 private:
  dnnl::memory view(const Desc& desc, const void* data) const { return {desc, engine_, const_cast<void*>(data)}; }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::matmul::primitive_desc desc_;
  dnnl::matmul product_;
};

}  // namespace

struct ProductCache::Library {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
};

ProductCache::ProductCache() : library_(std::make_unique<Library>()) {}
ProductCache::~ProductCache() = default;

const Product* ProductCache::find(const ProductKey& key) {
  const auto found = products_.find(key);
  if (found != products_.end()) return found->second.get();
  std::unique_ptr<Product> product;
  try {
    product = std::make_unique<DnnlProduct>(key, library_->engine, library_->stream);
  } catch (const dnnl::error& error) {
    STRAND_CHECK(error.status == dnnl_unimplemented, "oneDNN cannot compile a matrix product of ", key.m, " x ", key.n,
                 " x ", key.k, ": ", error.what());
  }
  return products_.emplace(key, std::move(product)).first->second.get();
}

void ProductCache::trim() {
  if (products_.size() > kMostProducts) products_.clear();
}

}  // namespace strand::cpu
