/** Adds to a binary min-heap of distinct times. */
export function pushTime(heap: number[], time: number): void {
  let index = heap.length
  heap.push(time)
  while (index > 0) {
    const parent = (index - 1) >> 1
    if (heap[parent] <= time) break
    heap[index] = heap[parent]
    index = parent
  }
  heap[index] = time
}

/** Takes a time out, cheapest when it is the least. */
export function removeTime(heap: number[], time: number): void {
  const at = heap[0] === time ? 0 : heap.indexOf(time)
  const last = heap.pop() as number
  if (at === heap.length) return
  let index = at
  for (;;) {
    let child = 2 * index + 1
    if (child >= heap.length) break
    if (child + 1 < heap.length && heap[child + 1] < heap[child]) child++
    if (heap[child] >= last) break
    heap[index] = heap[child]
    index = child
  }
  while (index > at) {
    const parent = (index - 1) >> 1
    if (heap[parent] <= last) break
    heap[index] = heap[parent]
    index = parent
  }
  heap[index] = last
}
