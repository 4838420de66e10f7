# What images call the systems of Nix.
{
  x86_64-linux = {
    os = "linux";
    architecture = "amd64";
  };
  i686-linux = {
    os = "linux";
    architecture = "386";
  };
  aarch64-linux = {
    os = "linux";
    architecture = "arm64";
  };
  armv7l-linux = {
    os = "linux";
    architecture = "arm";
    variant = "v7";
  };
  armv6l-linux = {
    os = "linux";
    architecture = "arm";
    variant = "v6";
  };
  armv5tel-linux = {
    os = "linux";
    architecture = "arm";
    variant = "v5";
  };
  powerpc64le-linux = {
    os = "linux";
    architecture = "ppc64le";
  };
  powerpc64-linux = {
    os = "linux";
    architecture = "ppc64";
  };
  riscv64-linux = {
    os = "linux";
    architecture = "riscv64";
  };
  s390x-linux = {
    os = "linux";
    architecture = "s390x";
  };
  loongarch64-linux = {
    os = "linux";
    architecture = "loong64";
  };
  mips64el-linux = {
    os = "linux";
    architecture = "mips64le";
  };
  mipsel-linux = {
    os = "linux";
    architecture = "mipsle";
  };
  x86_64-darwin = {
    os = "darwin";
    architecture = "amd64";
  };
  aarch64-darwin = {
    os = "darwin";
    architecture = "arm64";
  };
}
