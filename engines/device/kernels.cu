// The kernels. `python -m engines.device.compile` makes kernels.ptx of them, which is committed:
// a box has a driver and no compiler.

#include "kernels.h"

// One thread a pixel, one row of blocks a sum.
extern "C" __global__ void combine(const Sum *sums, const Source *sources, unsigned pixels) {
  const unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const Sum sum = sums[blockIdx.y];
  if (pixel < pixels) sum.target[pixel] = summed(sum, sources, pixel);
}

extern "C" __global__ void coarsen(const Coarsening *jobs, unsigned pixels) {
  const unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const Coarsening job = jobs[blockIdx.y];
  if (pixel < pixels) job.target[pixel] = coarsened(job, pixel);
}

// One thread a pixel of the largest mask, one warp a word of bits, one row of blocks a mask.
extern "C" __global__ void restore(const Restoration *jobs, unsigned most_pixels) {
  const unsigned pixel = blockIdx.x * blockDim.x + threadIdx.x;
  const Restoration job = jobs[blockIdx.y];
  const unsigned pixels = (unsigned)job.rows * job.columns, word = pixel / 32;
  if (word * 32 >= pixels) return;  // the whole warp
  const unsigned within = job.within ? job.within[word] : ~0u;
  const bool found = within && pixel < pixels && reaches_threshold(job, pixel);
  const unsigned bits = __ballot_sync(~0u, found);
  if (pixel % 32 == 0) job.bits[word] = bits & within;
}
