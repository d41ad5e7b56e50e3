/* vertex.h — exact minima of a sum of absolute residuals.
 * Such a sum is least at a vertex: as many residuals are zero as there are parameters, and the
 * multipliers of those lie within their weights. Walks from vertex to vertex, as the simplex
 * method of Bloomfield and Steiger (1983) does for linear laws, with Newton's method in between.
 * Flow: objective.h, minimize.h -> search.c                                                     */
#ifndef LAW_VERTEX_H
#define LAW_VERTEX_H

#include "law/objective.h"

/* From parameters near a minimum with value f of a FIT_LAD objective; returns the value, never
 * above f. Leaves the parameters alone where no vertex is better. */
double vertex_walk(const objective *o, double *parameter, double f);

#endif
