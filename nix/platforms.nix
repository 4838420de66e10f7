# What images call the systems of Nix.
let
  on = os: architecture: { inherit os architecture; };
  linux = on "linux";
  darwin = on "darwin";
  arm = variant: linux "arm" // { inherit variant; };
in
{
  x86_64-linux = linux "amd64";
  i686-linux = linux "386";
  aarch64-linux = linux "arm64";
  armv7l-linux = arm "v7";
  armv6l-linux = arm "v6";
  armv5tel-linux = arm "v5";
  powerpc64le-linux = linux "ppc64le";
  powerpc64-linux = linux "ppc64";
  riscv64-linux = linux "riscv64";
  s390x-linux = linux "s390x";
  loongarch64-linux = linux "loong64";
  mips64el-linux = linux "mips64le";
  mipsel-linux = linux "mipsle";
  x86_64-darwin = darwin "amd64";
  aarch64-darwin = darwin "arm64";
}
