using Ka.Server.Configuration;

namespace Ka.Tests.Server;

/// <summary>Boot profiles in the words that users of Kadeploy3 have written.</summary>
public sealed class PxelinuxProfiles
{
    static string Read(string text)
    {
        Assert.True(PxelinuxReader.IsOne(text));
        var (reading, errors) = BootProfileReader.Read("profile", text);
        return reading is null ? string.Join("; ", errors) : $"{reading.Kernel.Path} {reading.Kernel.At.Line}:{reading.Kernel.At.Column} {reading.Initrd?.Path ?? "-"} [{reading.Params}] {reading.ParamsAt.Line}:{reading.ParamsAt.Column}";
    }

    [Theory]
    [InlineData("DEFAULT bootlabel\nLABEL bootlabel\n\tKERNEL FILES_PREFIX--vmlinuz\n\tAPPEND initrd=FILES_PREFIX--initrd.img root=/dev/sda3 console=ttyS0\n", "vmlinuz 3:9 initrd.img [root=/dev/sda3 console=ttyS0] 4:9")]
    [InlineData("# mine\nprompt 0\ndefault a\nlabel b\n  kernel other\nlabel a\n  linux vmlinuz\n  initrd initrd\n  append quiet\nlabel c\n  kernel third\n", "vmlinuz 7:9 initrd [quiet] 9:10")]
    [InlineData("KERNEL memtest\n", "memtest 1:8 - [] 1:1")]
    [InlineData("LABEL only\r\nKERNEL vmlinuz\r\n", "vmlinuz 2:8 - [] 2:1")]
    public void The_default_label_says_kernel_initrd_and_parameters(string text, string expected) => Assert.Equal(expected, Read(text));

    [Theory]
    [InlineData("DEFAULT a\nLABEL a\nLOCALBOOT 0\n", "profile:3:1: error: 'LOCALBOOT' has no equivalent; profile:1:1: error: the profile names no kernel")]
    [InlineData("DEFAULT a\nLABEL b\nKERNEL k\n", "profile:2:1: error: none of the 1 labels is the default one")]
    [InlineData("LABEL b\nKERNEL k\nLABEL c\nKERNEL k\n", "profile:1:1: error: none of the 2 labels is the default one")]
    [InlineData("KERNEL k\nINITRD a,b\nIPAPPEND 2\n", "profile:3:1: error: 'IPAPPEND' has no equivalent; profile:2:1: error: there is more than one initrd")]
    public void What_would_be_left_out_is_refused_at_its_place(string text, string expected) => Assert.Equal(expected, Read(text));

    [Theory]
    [InlineData("kernel: ./vmlinuz\n")]
    [InlineData("# default\nparams: quiet\nkernel: k\n")]
    [InlineData("")]
    public void Everything_else_is_YAML(string text) => Assert.False(PxelinuxReader.IsOne(text));
}
