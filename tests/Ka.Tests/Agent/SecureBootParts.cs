using System.Text;
using Ka.Agent.Machine;
using Ka.Agent.Orders;

namespace Ka.Tests.Agent;

public sealed class SecureBootParts : IDisposable
{
    readonly TemporaryDirectory _directory = new();

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(new byte[] { 6, 0, 0, 0, 1 }, true)]
    [InlineData(new byte[] { 6, 0, 0, 0, 0 }, false)]
    [InlineData(new byte[] { 1 }, false)]
    [InlineData(null, false)]
    public void Secure_boot_is_what_the_firmwares_variable_says(byte[]? variable, bool enforced)
    {
        if (variable is not null)
            File.WriteAllBytes(_directory["SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"], variable);
        Assert.Equal(enforced, Inventory.SecureBoot(new AgentPaths(EfiVariables: _directory.Path)));
    }

    [Theory]
    [InlineData("MZ…\0/EFI/debian\0\0", "/EFI/debian")]
    [InlineData("no/EFI/word\0x\0/EFI/ubuntu\0", "/EFI/ubuntu")]
    [InlineData("\0/EFI/../boot\0", null)]
    [InlineData("\0/EFI/debian", null)]
    [InlineData("\0/EFI/\0", null)]
    [InlineData("MZ", null)]
    public void A_signed_grub_says_where_it_looks_for_its_configuration(string program, string? directory) =>
        Assert.Equal(directory, SignedLoaders.DirectoryOf(Encoding.Latin1.GetBytes(program)));

    [Fact]
    public void An_entry_of_systemd_boot_has_a_key_on_each_line() => Assert.Equal(
        ["title Deployed by Ka", "linux /ka/linux", "options root=UUID=x a=\"b c\""], SystemdBoot.Entry("root=UUID=x a=\"b c\"", withInitrd: false).TrimEnd().Split('\n')[1..]);

    [Fact]
    public void The_signed_grub_goes_on_with_the_configuration_of_the_system() => Assert.Equal(
        "search --no-floppy --fs-uuid --set=root 'ab-12'\nset prefix=($root)'/boot/grub'\nconfigfile $prefix/grub.cfg\n", SignedLoaders.Configuration("ab-12", "/boot/grub"));
}
