/** What is opened when it is first needed, and closed if it ever was. */
export class OpenedOnce<T extends { close(): void }> {
  #opening: Promise<T> | undefined

  constructor(readonly open: () => Promise<T>) {}

  get(): Promise<T> {
    this.#opening ??= this.open()
    return this.#opening
  }

  /** Undefined when nobody has needed it, or it could not be opened: that has been told to whoever did. */
  async opened(): Promise<T | undefined> {
    return this.#opening?.catch(() => undefined)
  }

  async close(): Promise<void> {
    const opened = await this.opened()
    opened?.close()
  }
}
