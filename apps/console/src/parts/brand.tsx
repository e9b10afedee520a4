export function Brand() {
  return (
    <a class="brand" href="." aria-label="humancast: all avatars">
      <img src="/favicon.svg" alt="" width="24" height="24" />
      humancast
    </a>
  );
}
