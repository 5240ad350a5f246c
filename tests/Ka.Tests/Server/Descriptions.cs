using Ka.Core.Disks;
using Ka.Core.Documents;
using Ka.Server.Environments;

namespace Ka.Tests.Server;

public class Descriptions
{
    const string Kadeploy3 = """
        ---
        name: debian12-x64-big
        version: 2024031514
        arch: x86_64
        alias: deb12
        description: debian 12 (bookworm) for x64 - big
        author: support-staff@lists.example.org
        visibility: public
        destructive: false
        os: linux
        image:
          file: server:///images/debian12-x64-big.tgz
          kind: tar
          compression: gzip
        postinstalls:
        - archive: server:///postinstalls/g5k-postinstall.tgz
          compression: gzip
          script: g5k-postinstall --net debian --disk-aliases
        boot:
          kernel: "/vmlinuz"
          initrd: "/initrd.img"
          kernel_params: "console=tty0 console=ttyS0,115200n8"
        filesystem: ext4
        partition_type: 0x83
        multipart: false
        """;

    [Fact]
    public void A_flat_description_of_kadeploy3_loads_unchanged()
    {
        var (read, errors) = DescriptionReader.Read("debian12.dsc", Kadeploy3);
        Assert.Empty(errors.Select(e => e.ToString()));
        Assert.Equal(("debian12-x64-big", 2024031514, Visibility.Public, "x86_64"), (read!.Name, read.Version, read.Visibility, read.Arch));
        Assert.Equal(("server:///images/debian12-x64-big.tgz", ImageCompression.Gzip, FileSystemKind.Ext4), (read.Image.Path, read.Compression, read.FileSystem));
        Assert.Equal(["console=tty0", "console=ttyS0,115200n8"], read.Params);
        var post = Assert.Single(read.PostInstalls);
        Assert.Equal("server:///postinstalls/g5k-postinstall.tgz", post.Archive!.Path);
        Assert.Equal(["g5k-postinstall", "--net", "debian", "--disk-aliases"], post.Command);
    }

    [Fact]
    public void An_old_short_description_of_kadeploy3_loads_unchanged()
    {
        var (read, errors) = DescriptionReader.Read("sid.env", """
            name: lenny-x64-nfs
            version: 1
            image:
              file: /srv/lenny.tar.bz2
              kind: tar
              compression: bzip2
            postinstalls:
              - archive: /srv/post.tgz
                compression: gzip
                script: none
            boot: {kernel: /boot/vmlinuz-2.6.26-2-amd64, initrd: /boot/initrd.img-2.6.26-2-amd64}
            filesystem: ext3
            partition_type: 131
            visibility: private
            """);
        Assert.NotNull(read);
        Assert.Equal([Severity.Warning], errors.Select(e => e.Severity));
        Assert.Empty(read.PostInstalls[0].Command);
        Assert.Equal(ImageCompression.Bzip2, read.Compression);
    }

    [Fact]
    public void The_least_that_is_needed_is_a_name_and_an_image()
    {
        var (read, _) = DescriptionReader.Read("a.yaml", "name: a\nimage: {file: a.tar.zst}\n");
        Assert.Equal((1, ImageCompression.Zstd, null), (read!.Version, read.Compression, read.Kernel));
    }

    [Theory]
    [InlineData("loader: systemd-boot", BootLoader.SystemdBoot)]
    [InlineData("loader: grub", BootLoader.Grub)]
    [InlineData("kernel: /k", BootLoader.Auto)]
    public void A_description_may_ask_for_its_boot_loader(string word, BootLoader loader) =>
        Assert.Equal(loader, DescriptionReader.Read("a.yaml", $"name: a\nimage: {{file: a.tar}}\nboot: {{{word}}}\n").Description!.Loader);

    [Theory]
    [InlineData("name: a\nimgae: {file: a.tar}\n", "a.yaml:2:1", "image")]
    [InlineData("name: a\nimage: {file: a.tar, compresion: xz}\n", "a.yaml:2:22", "compression")]
    [InlineData("name: a\nimage: {file: a.tar, digest: 'md5:abc'}\n", "a.yaml:2:30", "sha256:")]
    [InlineData("name: a\nimage: {file: a.tar, digest: abc}\n", "a.yaml:2:30", "sha256:")]
    [InlineData("name: a\nimage: {file: a.tar, compression: rar}\n", "a.yaml:2:35", "gzip")]
    [InlineData("name: a b\nimage: {file: a.tar}\n", "a.yaml:1:7", "letters")]
    [InlineData("name: a\nimage: {file: a.tar, kind: dmg}\n", "a.yaml:2:28", "qcow2")]
    [InlineData("name: a\nimage: {file: a.tar}\nboot: {kernel: vmlinuz}\n", "a.yaml:3:16", "absolute path")]
    [InlineData("name: a\nimage: {file: a.tar}\nboot: {loader: lilo}\n", "a.yaml:3:16", "systemd_boot")]
    [InlineData("name: a\nimage: {file: a.tar}\nversion: one\n", "a.yaml:3:10", "")]
    [InlineData("name: a\nimage: {file: a.tar}\npostinstalls: [{timeout: 10s}]\n", "a.yaml:3:", "archive or a script")]
    [InlineData("name: a\nname: b\nimage: {file: a.tar}\n", "a.yaml:2:1", "")]
    public void What_is_wrong_is_said_at_its_place_with_what_was_expected(string text, string place, string says)
    {
        var (read, errors) = DescriptionReader.Read("a.yaml", text);
        Assert.Null(read);
        Assert.Contains(errors, e => e.At.ToString().StartsWith(place, StringComparison.Ordinal) && e.Render(text).Contains(says, StringComparison.Ordinal));
    }

    [Fact]
    public void All_independent_errors_are_said_at_once()
    {
        var (_, errors) = DescriptionReader.Read("a.yaml", "version: x\nvisibility: secret\nos: plan9\nimage: {}\nfilesystem: zfs\n");
        Assert.True(errors.Length >= 6, string.Join('\n', errors));
    }
}
