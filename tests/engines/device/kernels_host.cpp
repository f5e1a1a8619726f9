// The kernels as loops, for a device whose memory is the host's: the arithmetic is the kernels' own.

#include "kernels.h"

extern "C" void combine(const Sum *sums, const Source *sources, unsigned pixels, unsigned count) {
  for (unsigned place = 0; place < count; ++place)
    for (unsigned pixel = 0; pixel < pixels; ++pixel)
      sums[place].target[pixel] = summed(sums[place], sources, pixel);
}

extern "C" void coarsen(const Coarsening *jobs, unsigned pixels, unsigned count) {
  for (const Coarsening *job = jobs; job < jobs + count; ++job)
    for (unsigned pixel = 0; pixel < pixels; ++pixel) job->target[pixel] = coarsened(*job, pixel);
}

extern "C" void restore(const Restoration *jobs, unsigned most_pixels, unsigned count) {
  for (const Restoration *job = jobs; job < jobs + count; ++job) {
    const unsigned pixels = (unsigned)job->rows * job->columns;
    for (unsigned first = 0; first < pixels && first < most_pixels; first += 32) {
      unsigned bits = 0;
      for (unsigned pixel = first; pixel < first + 32 && pixel < pixels; ++pixel)
        if (reaches_threshold(*job, pixel)) bits |= 1u << (pixel - first);
      job->bits[first / 32] = job->within ? bits & job->within[first / 32] : bits;
    }
  }
}
