namespace Ka.Tests;

public class Smoke
{
    [Fact]
    public void Test_runner_works() => Assert.Equal(2, 1 + 1);
}
