/** Distance between two elements, the older one first (Flink's DeltaFunction). */
export type DeltaFunction<T> = (oldElement: T, newElement: T) => number
