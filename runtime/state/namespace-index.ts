/** Numbers namespaces in order of appearance; equal ones are one object (or null). */
export class NamespaceIndex {
  readonly list: unknown[] = []
  readonly #numbers = new Map<unknown, number>()

  of(namespaces: readonly unknown[]): number[] {
    return namespaces.map((namespace) => {
      let number = this.#numbers.get(namespace)
      if (number === undefined) {
        number = this.list.push(namespace) - 1
        this.#numbers.set(namespace, number)
      }
      return number
    })
  }
}
