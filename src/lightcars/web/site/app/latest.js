/** Runs one task at a time. Of the tasks that wait only the newest is run. */
export class Latest {
  #running = false;
  /** @type {{task: () => Promise<any>, resolve: (answer: any) => void, reject: (error: any) => void} | null} */
  #waiting = null;

  /**
   * @param {() => Promise<any>} task
   * @returns {Promise<any>} its answer, or null if a newer task took its place
   */
  run(task) {
    return new Promise((resolve, reject) => {
      this.#waiting?.resolve(null);
      this.#waiting = { task, resolve, reject };
      if (!this.#running) this.#runAll();
    });
  }

  async #runAll() {
    this.#running = true;
    while (this.#waiting !== null) {
      const { task, resolve, reject } = this.#waiting;
      this.#waiting = null;
      await task().then(resolve, reject);
    }
    this.#running = false;
  }
}
