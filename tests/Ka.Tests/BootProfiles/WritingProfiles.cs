using Ka.Core.BootProfiles;
using Ka.Core.NodeSets;

namespace Ka.Tests.BootProfiles;

public class WritingProfiles
{
    private static readonly NodeName Node = NodeName.Parse("gris-1");
    private static readonly BootUrls Urls = new(new("http://10.0.0.1/boot/k/script.ipxe"), new("http://10.0.0.1/boot/k/kernel"), new("http://10.0.0.1/boot/k/initrd"));

    [Fact]
    public void The_minimal_environment_is_fetched_and_started()
    {
        var script = IpxeScript.Render(Node, new BootProfile.MinimalEnvironment("/k", "/i", KernelParameters.Parse("quiet console=ttyS0,115200")), Urls);

        Assert.Equal(
            """
            #!ipxe
            # gris-1: kernel from the network
            kernel http://10.0.0.1/boot/k/kernel quiet console=ttyS0,115200 initrd=initrd || goto failed
            initrd --name initrd http://10.0.0.1/boot/k/initrd || goto failed
            boot ||
            :failed
            echo Ka: the boot files did not come or did not start, trying again
            sleep 5
            reboot

            """.ReplaceLineEndings("\n"),
            script);
    }

    [Fact]
    public void The_local_disk_is_booted_on_both_firmwares()
    {
        var script = IpxeScript.Render(Node, new BootProfile.LocalDisk(), Urls);

        Assert.Contains("sanboot --no-describe --drive 0x80", script);
        Assert.Contains("iseq ${platform} efi && goto firmware ||\n", script);
        Assert.EndsWith(":firmware\nexit 1\n", script);
    }

    [Fact]
    public void A_uefi_machine_may_be_helped_to_its_disk()
    {
        var script = IpxeScript.Render(Node, new BootProfile.LocalDisk(), Urls with { UefiDiskLoader = new("http://10.0.0.1/boot/loader/disk.efi") });

        Assert.EndsWith(":firmware\niseq ${platform} efi && chain http://10.0.0.1/boot/loader/disk.efi ||\nexit 1\n", script);
    }

    [Theory]
    [InlineData("a ; chain http://evil/x")]
    [InlineData("a && reboot")]
    [InlineData("a || shell")]
    [InlineData("# rest")]
    [InlineData("x #y a;b c||d ;; ;")]
    [InlineData("dyndbg=\"file  x   +p\" --name=evil -x \\")]
    [InlineData("a\\")]
    [InlineData("'single' `cmd` $(cmd) $HOME %s {x} }{ ${")]
    [InlineData(":label goto")]
    public void Nothing_in_a_parameter_ends_the_command(string text)
    {
        if (!KernelParameters.TryParse(text, out var parameters, out _))
        {
            Assert.Contains("${", text);
            return;
        }

        var lines = IpxeScript.Render(Node, new BootProfile.MinimalEnvironment("/k", "/i", parameters), Urls).Split('\n');

        // iPXE's own way to read a line: words at blanks, the command ends at a word of its own, then settings are expanded.
        var words = lines[2].Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var end = Array.FindIndex(words, word => word is "||" or "&&" or ";" || word[0] == '#');
        Assert.Equal(["||", "goto", "failed"], words[end..]);
        Assert.Equal($"{parameters} initrd=initrd", string.Join(' ', words[2..end].Select(word => word.Replace("${ka-nothing}", ""))));
        Assert.DoesNotContain(lines, line => line.EndsWith('\\'));
        Assert.Equal(10, lines.Length);
    }

    [Theory]
    [InlineData("a\nchain http://evil")]
    [InlineData("a\rb")]
    [InlineData("a\0b")]
    [InlineData("a\tb")]
    [InlineData("\u001b[31m")]
    [InlineData("é")]
    [InlineData("${net0/mac}")]
    [InlineData("x=\"open")]
    [InlineData("initrd=/evil")]
    public void What_a_loader_cannot_carry_is_refused(string text)
    {
        Assert.False(KernelParameters.TryParse(text, out _, out var error));
        Assert.NotEmpty(error);
    }

    [Fact]
    public void Too_long_a_line_is_refused() => Assert.False(KernelParameters.TryParse(new string('x', 2001), out _, out _));

    [Theory]
    [InlineData("quiet root=/dev/sda1", "root=/dev/sdb2", "quiet root=/dev/sdb2")]
    [InlineData("console=tty0", "console=ttyS0 console=tty0", "console=tty0 console=ttyS0")]
    [InlineData("a-b=1", "a_b=2", "a_b=2")]
    [InlineData("quiet -- single", "panic=10 -- x", "quiet panic=10 -- single x")]
    [InlineData("quiet", "-- x", "quiet -- x")]
    [InlineData("", "quiet", "quiet")]
    public void Parameters_are_overridden_by_name(string mine, string theirs, string merged) =>
        Assert.Equal(merged, KernelParameters.Parse(mine).With(KernelParameters.Parse(theirs)).ToString());

    [Fact]
    public void Pxelinux_and_grub_get_their_own_form()
    {
        var profile = new BootProfile.MinimalEnvironment("/k", "/i", KernelParameters.Parse("quiet x=\"a b\""));
        var mac = MacAddress.Parse("52-54-00-12-34-AB");

        Assert.Equal("pxelinux.cfg/01-52-54-00-12-34-ab", PxelinuxProfile.FileName(mac));
        Assert.Contains("  append ka.loader=pxelinux quiet x=\"a b\"\n", PxelinuxProfile.Render(Node, profile, Urls));
        Assert.True(GrubProfile.TryRender(Node, profile, Urls, out var grub, out _));
        Assert.Contains("linux '(http,10.0.0.1)/boot/k/kernel' 'quiet' 'x=a b'\n", grub);
        Assert.EndsWith("boot\necho \"Ka: the boot files did not come or did not start, trying again\"\nsleep 5\nreboot\n", grub);
        Assert.False(GrubProfile.TryRender(Node, profile with { Parameters = KernelParameters.Parse("x='; reboot; '") }, Urls, out _, out _));
    }

    [Fact]
    public void Grub_starts_the_disks_own_loader_where_it_needs_no_boot_entry_and_else_goes_on_in_the_boot_order()
    {
        Assert.True(GrubProfile.TryRender(Node, new BootProfile.LocalDisk(), Urls, out var grub, out _));

        string[] uefi = ["search --no-floppy --set=root --file /EFI/BOOT/BOOTX64.EFI", "chainloader /EFI/BOOT/BOOTX64.EFI", "exit 1", "chainloader +1"];
        var places = uefi.Select(line => grub.IndexOf(line, StringComparison.Ordinal)).ToArray();
        Assert.DoesNotContain(-1, places);
        Assert.Equal(places.Order(), places);
    }

    [Theory]
    [InlineData("52:54:00:12:34:56", true)]
    [InlineData("525400123456", true)]
    [InlineData("5254.0012.3456", true)]
    [InlineData("52:54:00:12:34", false)]
    [InlineData("52:54:00:12:34:5g", false)]
    [InlineData("", false)]
    public void Hardware_addresses_are_read_in_every_usual_form(string text, bool good)
    {
        Assert.Equal(good, MacAddress.TryParse(text, out var mac));
        Assert.Equal(good ? "52:54:00:12:34:56" : "00:00:00:00:00:00", mac.ToString());
    }
}
