// The arithmetic of the kernels, one pixel at a time, for the device and for the host alike.
// The structures are those of engines/device/slabs.py, masks.py and coarse.py.

#pragma once

#include <math.h>

#ifdef __CUDACC__
#define EVERYWHERE __host__ __device__ inline
#else
#define EVERYWHERE inline
#endif

// A plane and what it counts in a sum.
struct Source {
  const float *plane;
  float weight;
};

// target = (the sum of `count` weighted sources from `first` on, in this order) / divisor;
// zero of no source.
struct Sum {
  float *target;
  unsigned first;
  unsigned count;
  float divisor;
};

EVERYWHERE float summed(const Sum &sum, const Source *sources, unsigned pixel) {
  float total = 0.0f;
  for (unsigned place = sum.first; place < sum.first + sum.count; ++place)
    total += sources[place].weight * sources[place].plane[pixel];
  return sum.count ? total / sum.divisor : 0.0f;
}

// A plane, and itself with `size` rows and columns in 255 steps; what coarse_plane() makes of it.
struct Coarsening {
  const float *plane;
  unsigned char *target;
  int rows, columns;
  int size;
};

// The mean of the pixels that fall onto one, or the one at its middle where that is no whole
// number of them.
EVERYWHERE unsigned char coarsened(const Coarsening &job, unsigned pixel) {
  const int row = pixel / job.size, column = pixel % job.size;
  const bool whole = job.rows % job.size == 0 && job.columns % job.size == 0;
  const int down = whole ? job.rows / job.size : 1, across = whole ? job.columns / job.size : 1;
  const int top = whole ? row * down : (2 * row + 1) * job.rows / (2 * job.size);
  const int left = whole ? column * across : (2 * column + 1) * job.columns / (2 * job.size);
  float total = 0.0f;
  for (int y = top; y < top + down; ++y)
    for (int x = left; x < left + across; ++x) total += job.plane[y * job.columns + x];
  return (unsigned char)rintf(total / (down * across) * 255.0f);
}

// A probability on the network's grid, and its mask on the slice's own grid.
struct Restoration {
  const float *plane;      // top left pixel of the part that shows the image
  unsigned *bits;          // 32 pixels a word, the first one lowest; rows without a gap
  const unsigned *within;  // bits of a mask that this one lies inside of, or null
  int stride;              // pixels from one row of `plane` to the next
  int fitted_rows, fitted_columns;
  int rows, columns;
  float threshold;
};

// The pixels along one axis that one pixel of the slice is made of. Linear interpolation
// between pixel centres; where the slice is the coarser grid, a triangle as wide as two of
// its pixels, which is DALI's resize with INTERP_LINEAR and antialias.
struct Taps {
  float centre, radius;
  int first, last;
};

EVERYWHERE Taps taps_of(int pixel, int fitted, int native) {
  const float scale = (float)fitted / native;
  Taps taps;
  taps.centre = pixel * scale + (0.5f * scale - 0.5f);
  taps.radius = fitted > native ? scale : 1.0f;
  taps.first = (int)ceilf(taps.centre - taps.radius);
  taps.last = (int)floorf(taps.centre + taps.radius);
  return taps;
}

EVERYWHERE float weight_of(const Taps &taps, int tap) {
  return fmaxf(0.0f, 1.0f - fabsf(tap - taps.centre) / taps.radius);
}

EVERYWHERE int within_bounds(int tap, int size) {
  return tap < 0 ? 0 : tap < size ? tap : size - 1;
}

EVERYWHERE bool reaches_threshold(const Restoration &job, unsigned pixel) {
  const Taps down = taps_of(pixel / job.columns, job.fitted_rows, job.rows);
  const Taps across = taps_of(pixel % job.columns, job.fitted_columns, job.columns);
  float total = 0.0f, weights_down = 0.0f, weights_across = 0.0f;
  for (int tap = across.first; tap <= across.last; ++tap) weights_across += weight_of(across, tap);
  for (int row = down.first; row <= down.last; ++row) {
    const float *line = job.plane + within_bounds(row, job.fitted_rows) * job.stride;
    float part = 0.0f;
    for (int tap = across.first; tap <= across.last; ++tap)
      part += weight_of(across, tap) * line[within_bounds(tap, job.fitted_columns)];
    const float weight = weight_of(down, row);
    total += weight * (part / weights_across);
    weights_down += weight;
  }
  return total / weights_down >= job.threshold;
}
