/** Reduce functions behind sum, min, max, minBy and maxBy (Flink's SumAggregator and ComparableAggregator). */

function withField<T>(element: T, field: keyof T, value: T[keyof T]): T {
  if (Array.isArray(element)) return Object.assign(element.slice(), { [field]: value }) as T
  return { ...element, [field]: value }
}

export function sumOf<T>(field: keyof T): (a: T, b: T) => T {
  return (a, b) => withField(a, field, ((a[field] as number) + (b[field] as number)) as T[keyof T])
}

export function minimum<T>(field: keyof T): (a: T, b: T) => T {
  return (a, b) => (b[field] < a[field] ? withField(a, field, b[field]) : a)
}

export function maximum<T>(field: keyof T): (a: T, b: T) => T {
  return (a, b) => (b[field] > a[field] ? withField(a, field, b[field]) : a)
}

export function minimumBy<T>(field: keyof T, first: boolean): (a: T, b: T) => T {
  return first ? (a, b) => (b[field] < a[field] ? b : a) : (a, b) => (b[field] <= a[field] ? b : a)
}

export function maximumBy<T>(field: keyof T, first: boolean): (a: T, b: T) => T {
  return first ? (a, b) => (b[field] > a[field] ? b : a) : (a, b) => (b[field] >= a[field] ? b : a)
}
